-- Functions of claims whose arguments or results have changed. sql/007_functions/ creates them again.
drop function if exists matrice_private.hold_claimable, matrice_private.take_leases, matrice_private.take_leases_of_member,
  matrice_private.lease_of_parts, matrice_private.lease_of_project, matrice_private.fill_batch, matrice_private.batch_of;
