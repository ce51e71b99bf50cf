DROP ROLE IF EXISTS sogo;
CREATE ROLE sogo LOGIN PASSWORD '{{ secrets.sogo_database }}';
