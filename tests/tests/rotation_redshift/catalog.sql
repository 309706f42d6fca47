CREATE VIEW pg_catalog.svv_user_info AS
SELECT rolname::text AS user_name, rolsuper AS superuser, rolcreatedb AS createdb,
  CASE WHEN rolconnlimit < 0 THEN 'UNLIMITED' ELSE rolconnlimit::text END AS connection_limit, 'RESTRICTED'::text AS syslog_access, 0 AS session_timeout
FROM pg_catalog.pg_roles WHERE rolcanlogin;

CREATE VIEW pg_catalog.svv_user_grants AS
SELECT ''::text AS user_name, ''::text AS role_name, false AS admin_option WHERE false;

CREATE VIEW pg_catalog.svv_database_privileges AS
SELECT d.datname::text AS database_name, a.privilege_type, 'DATABASE'::text AS privilege_scope, r.rolname::text AS identity_name,
  'user'::text AS identity_type, a.is_grantable AS admin_option
FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a JOIN pg_catalog.pg_roles r ON r.oid = a.grantee AND r.rolcanlogin;

CREATE VIEW pg_catalog.svv_schema_privileges AS
SELECT n.nspname::text AS namespace_name, a.privilege_type, 'SCHEMA'::text AS privilege_scope, r.rolname::text AS identity_name,
  'user'::text AS identity_type, a.is_grantable AS admin_option
FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a JOIN pg_catalog.pg_roles r ON r.oid = a.grantee AND r.rolcanlogin;

CREATE VIEW pg_catalog.svv_relation_privileges AS
SELECT n.nspname::text AS namespace_name, c.relname::text AS relation_name, a.privilege_type, r.rolname::text AS identity_name,
  'user'::text AS identity_type, a.is_grantable AS admin_option
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, pg_catalog.aclexplode(c.relacl) a
  JOIN pg_catalog.pg_roles r ON r.oid = a.grantee AND r.rolcanlogin;

CREATE VIEW pg_catalog.svv_column_privileges AS
SELECT n.nspname::text AS namespace_name, c.relname::text AS relation_name, t.attname::text AS column_name, a.privilege_type,
  r.rolname::text AS identity_name, 'user'::text AS identity_type
FROM pg_catalog.pg_attribute t JOIN pg_catalog.pg_class c ON c.oid = t.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
  pg_catalog.aclexplode(t.attacl) a JOIN pg_catalog.pg_roles r ON r.oid = a.grantee AND r.rolcanlogin;

CREATE VIEW pg_catalog.svv_function_privileges AS
SELECT n.nspname::text AS namespace_name, p.proname::text AS function_name, pg_catalog.oidvectortypes(p.proargtypes) AS argument_types, a.privilege_type,
  r.rolname::text AS identity_name, 'user'::text AS identity_type, a.is_grantable AS admin_option
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace, pg_catalog.aclexplode(p.proacl) a
  JOIN pg_catalog.pg_roles r ON r.oid = a.grantee AND r.rolcanlogin;

CREATE VIEW pg_catalog.svv_language_privileges AS
SELECT l.lanname::text AS language_name, a.privilege_type, r.rolname::text AS identity_name, 'user'::text AS identity_type, a.is_grantable AS admin_option
FROM pg_catalog.pg_language l, pg_catalog.aclexplode(l.lanacl) a JOIN pg_catalog.pg_roles r ON r.oid = a.grantee AND r.rolcanlogin;

CREATE VIEW pg_catalog.svv_default_privileges AS
SELECT n.nspname::text AS schema_name, CASE d.defaclobjtype WHEN 'r' THEN 'RELATION' WHEN 'f' THEN 'FUNCTION' ELSE 'OTHER' END AS object_type,
  o.rolname::text AS owner_name, a.privilege_type, r.rolname::text AS grantee_name, 'user'::text AS grantee_type, a.is_grantable AS admin_option
FROM pg_catalog.pg_default_acl d JOIN pg_catalog.pg_roles o ON o.oid = d.defaclrole LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace,
  pg_catalog.aclexplode(d.defaclacl) a JOIN pg_catalog.pg_roles r ON r.oid = a.grantee AND r.rolcanlogin WHERE r.oid <> d.defaclrole;

-- PostgreSQL's own database is none of Redshift's.
CREATE VIEW pg_catalog.svv_redshift_databases AS
SELECT d.datname::text AS database_name, d.datdba AS database_owner, 'local'::text AS database_type
FROM pg_catalog.pg_database d WHERE d.datallowconn AND d.datname <> 'postgres';

GRANT SELECT ON pg_catalog.svv_redshift_databases, pg_catalog.svv_user_info, pg_catalog.svv_user_grants, pg_catalog.svv_database_privileges, pg_catalog.svv_schema_privileges,
  pg_catalog.svv_relation_privileges, pg_catalog.svv_column_privileges, pg_catalog.svv_function_privileges, pg_catalog.svv_language_privileges,
  pg_catalog.svv_default_privileges TO PUBLIC;
