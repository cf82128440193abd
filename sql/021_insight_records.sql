-- What insights keep about where and when they were recorded.

-- Their results changed.
drop function if exists matrice_private.weighed_insights(uuid[], timestamptz);
