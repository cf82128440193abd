-- Which model a name means is decided in the engine.

drop function if exists matrice_private.fill_spellings(), matrice_private.model_at(text, text),
  matrice_private.sold_model(text, text), matrice_private.provider_named(text), matrice_private.model_of_maker(text),
  matrice_private.model_of_reseller(text);
drop table if exists matrice_private.provider_spellings, matrice_private.model_name_forms, matrice_private.model_makers;
