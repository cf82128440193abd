-- Functions of claims whose results have changed. sql/007_functions/ creates them again.
drop function if exists matrice_private.hold_claimable;
drop function if exists matrice_private.lease_of_parts;
