-- Deleting the sources whose documents are gone.

-- It takes other arguments now.
drop function if exists matrice.sync_sources(uuid, text[], text);
