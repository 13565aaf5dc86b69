-- What the ADBC driver asks
-- Recorded by the datafusion-postgres project (https://github.com/datafusion-contrib/datafusion-postgres),
-- Apache License 2.0. One statement each, ended by a line that holds only a semicolon.

SELECT attname, atttypid FROM pg_catalog.pg_class AS cls INNER JOIN pg_catalog.pg_attribute AS attr ON cls.oid = attr.attrelid INNER JOIN pg_catalog.pg_type AS typ ON attr.atttypid = typ.oid WHERE attr.attnum >= 0 AND cls.oid = 'clubs'::regclass::oid ORDER BY attr.attnum
;
