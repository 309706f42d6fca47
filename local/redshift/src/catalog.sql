CREATE SCHEMA sluice_sys;

CREATE SEQUENCE sluice_sys.query_id START 1001;

CREATE TABLE sluice_sys.copy_job (
  job_id bigint GENERATED ALWAYS AS IDENTITY (START WITH 100001) PRIMARY KEY, job_name text NOT NULL UNIQUE,
  owner_id int NOT NULL, owner_name text NOT NULL, iam_role text NOT NULL, bucket text NOT NULL, prefix text NOT NULL,
  copy_text text NOT NULL, job_text text NOT NULL, is_auto boolean NOT NULL, created_at timestamptz NOT NULL DEFAULT clock_timestamp());

CREATE TABLE sluice_sys.copy_job_detail (
  job_id bigint NOT NULL REFERENCES sluice_sys.copy_job ON DELETE CASCADE, bucket text NOT NULL, key text NOT NULL, size bigint NOT NULL,
  etag text NOT NULL, modification_time timestamptz NOT NULL, enqueue_time timestamptz NOT NULL DEFAULT clock_timestamp(),
  status text NOT NULL DEFAULT 'P', PRIMARY KEY (job_id, bucket, key));

CREATE TABLE sluice_sys.copy_job_info (
  job_id bigint NOT NULL, job_name text NOT NULL, owner_id int NOT NULL, record_time timestamptz NOT NULL DEFAULT clock_timestamp(), message text NOT NULL);

CREATE TABLE sluice_sys.copy_job_grant (grantee text NOT NULL, privilege text NOT NULL, PRIMARY KEY (grantee, privilege));

CREATE TABLE sluice_sys.integration (arn text PRIMARY KEY, bucket text NOT NULL, state text NOT NULL);

CREATE TABLE sluice_sys.load_history (
  user_id int NOT NULL, query_id bigint PRIMARY KEY, transaction_id bigint NOT NULL, session_id int NOT NULL, status text NOT NULL, table_name text NOT NULL,
  start_time timestamptz NOT NULL, end_time timestamptz NOT NULL DEFAULT clock_timestamp(), data_source text NOT NULL, file_format text NOT NULL,
  loaded_rows bigint NOT NULL, loaded_bytes bigint NOT NULL, source_file_count int NOT NULL, source_file_bytes bigint NOT NULL,
  file_count_scanned int NOT NULL, file_bytes_scanned bigint NOT NULL, error_count bigint NOT NULL, copy_job_id bigint NOT NULL);

CREATE TABLE sluice_sys.load_error (
  user_id int NOT NULL, query_id bigint NOT NULL, transaction_id bigint NOT NULL, session_id int NOT NULL, table_id int NOT NULL, start_time timestamptz NOT NULL,
  file_name text NOT NULL, line_number bigint NOT NULL, column_name text NOT NULL, column_type text NOT NULL, column_length text NOT NULL,
  "position" int NOT NULL, error_code int NOT NULL, error_message text NOT NULL, raw_line text NOT NULL, raw_field_value text NOT NULL, copy_job_id bigint NOT NULL);

CREATE TABLE sluice_sys.load_commit (
  user_id int NOT NULL, query_id bigint NOT NULL, name text NOT NULL, file_name text NOT NULL, lines_scanned int NOT NULL, errors int NOT NULL,
  curtime timestamptz NOT NULL DEFAULT clock_timestamp(), file_format text NOT NULL, copy_job_id bigint NOT NULL);

CREATE ROLE sluice_syslog NOLOGIN;

CREATE ROLE sluice_public_copy NOLOGIN;

CREATE ROLE sluice_public_unload NOLOGIN;

CREATE ROLE sluice_public_external_function NOLOGIN;

CREATE ROLE sluice_public_create_model NOLOGIN;

CREATE FUNCTION sluice_sys.assume_role(arn text, command text) RETURNS text IMMUTABLE LANGUAGE sql AS
$$ SELECT 'sluice_assume_' || replace(lower(command), ' ', '_') || '_' || md5(arn) $$;

CREATE FUNCTION pg_catalog.has_assumerole_privilege(username name, arn text, command text) RETURNS boolean STABLE LANGUAGE sql AS
$$ SELECT usesuper OR EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = 'sluice_public_' || replace(lower(command), ' ', '_'))
  OR EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = sluice_sys.assume_role(arn, command) AND pg_catalog.pg_has_role(username, oid, 'MEMBER'))
  FROM pg_catalog.pg_user WHERE usename = username AND (username = current_user OR (SELECT me.usesuper FROM pg_catalog.pg_user me WHERE me.usename = current_user)) $$;

CREATE FUNCTION pg_catalog.has_assumerole_privilege(arn text, command text) RETURNS boolean STABLE LANGUAGE sql AS
$$ SELECT pg_catalog.has_assumerole_privilege(current_user::name, arn, command) $$;

CREATE FUNCTION sluice_sys.sees(owner_id int, viewer text) RETURNS boolean STABLE LANGUAGE sql AS
$$ SELECT usesuper OR usesysid::int = owner_id OR pg_catalog.pg_has_role(viewer, 'sluice_syslog', 'MEMBER') FROM pg_catalog.pg_user WHERE usename = viewer $$;

CREATE VIEW pg_catalog.sys_copy_job AS
SELECT job_id, job_name::char(128) AS job_name, iam_role::char(128) AS iam_role, left(job_text, 256)::char(256) AS job_text,
  is_auto::int AS is_auto, 0 AS on_error_suspend
FROM sluice_sys.copy_job WHERE sluice_sys.sees(owner_id, current_user);

CREATE VIEW pg_catalog.sys_copy_job_detail AS
SELECT j.owner_id AS user_id, current_database()::char(128) AS database_name, d.job_id, j.job_name::char(128) AS job_name,
  d.bucket::char(128) AS file_location, d.key::char(1024) AS file_name, d.size AS file_size, d.etag::char(64) AS file_etag,
  left(j.job_text, 256)::char(256) AS job_text, d.modification_time AT TIME ZONE 'UTC' AS modification_time,
  d.enqueue_time AT TIME ZONE 'UTC' AS enqueue_time, d.status::char(1) AS status
FROM sluice_sys.copy_job_detail d JOIN sluice_sys.copy_job j USING (job_id) WHERE sluice_sys.sees(j.owner_id, current_user);

CREATE VIEW pg_catalog.sys_copy_job_info AS
SELECT job_id, job_name::char(128) AS job_name, current_database()::char(128) AS database_name,
  record_time AT TIME ZONE 'UTC' AS record_time, left(message, 512)::char(512) AS message
FROM sluice_sys.copy_job_info WHERE sluice_sys.sees(owner_id, current_user);

CREATE VIEW pg_catalog.svv_copy_job_integrations AS
SELECT j.owner_id AS job_owner, coalesce(i.arn, '')::char(256) AS channel_arn, j.bucket::char(128) AS bucket,
  coalesce(i.state, 'Pending')::char(32) AS channel_state, current_database()::char(128) AS db_name, j.job_name::char(128) AS job_name,
  CASE WHEN coalesce(i.state, 'Pending') = 'Established' THEN 0 ELSE 1 END AS job_state
FROM sluice_sys.copy_job j LEFT JOIN sluice_sys.integration i USING (bucket) WHERE sluice_sys.sees(j.owner_id, current_user);

CREATE VIEW pg_catalog.sys_load_history AS
SELECT user_id, query_id, transaction_id, session_id, current_database()::char(128) AS database_name, status::char(10) AS status,
  table_name::char(128) AS table_name, start_time AT TIME ZONE 'UTC' AS start_time, end_time AT TIME ZONE 'UTC' AS end_time,
  (extract(epoch FROM end_time - start_time) * 1000000)::bigint AS duration, data_source, file_format::char(16) AS file_format, loaded_rows, loaded_bytes,
  source_file_count, source_file_bytes, file_count_scanned, file_bytes_scanned, error_count, copy_job_id
FROM sluice_sys.load_history WHERE sluice_sys.sees(user_id, current_user);

CREATE VIEW pg_catalog.sys_load_error_detail AS
SELECT user_id, query_id, transaction_id, session_id, current_database()::char(128) AS database_name, table_id, start_time AT TIME ZONE 'UTC' AS start_time,
  file_name::char(256) AS file_name, line_number, column_name::char(127) AS column_name, column_type::char(10) AS column_type,
  column_length::char(10) AS column_length, "position", error_code, left(error_message, 512)::char(512) AS error_message
FROM sluice_sys.load_error WHERE sluice_sys.sees(user_id, current_user);

CREATE VIEW pg_catalog.stl_load_errors AS
SELECT user_id AS userid, 0 AS slice, table_id AS tbl, start_time AT TIME ZONE 'UTC' AS starttime, session_id AS session, query_id AS query,
  file_name::char(256) AS filename, line_number, column_name::char(127) AS colname, column_type::char(10) AS type, column_length::char(10) AS col_length,
  "position", left(raw_line, 1024)::char(1024) AS raw_line, left(raw_field_value, 1024)::char(1024) AS raw_field_value, error_code AS err_code,
  left(error_message, 100)::char(100) AS err_reason, 0 AS is_partial, 0::bigint AS start_offset, copy_job_id
FROM sluice_sys.load_error WHERE sluice_sys.sees(user_id, current_user);

CREATE VIEW pg_catalog.stl_load_commits AS
SELECT user_id AS userid, query_id AS query, 0 AS slice, name::char(256) AS name, left(file_name, 256)::char(256) AS filename, 0 AS byte_offset, lines_scanned, errors,
  curtime AT TIME ZONE 'UTC' AS curtime, 1 AS status, file_format::char(16) AS file_format, 0 AS is_partial, 0::bigint AS start_offset, copy_job_id
FROM sluice_sys.load_commit WHERE sluice_sys.sees(user_id, current_user);

CREATE VIEW pg_catalog.svv_user_info AS
SELECT usename::varchar(128) AS user_name, usesysid::int AS user_id, usecreatedb AS createdb, usesuper AS superuser, false AS catalog_update,
  'UNLIMITED'::varchar(20) AS connection_limit,
  CASE WHEN pg_catalog.pg_has_role(usename, 'sluice_syslog', 'MEMBER') THEN 'UNRESTRICTED' ELSE 'RESTRICTED' END::varchar(12) AS syslog_access,
  NULL::timestamp AS last_ddl_timestamp, 0 AS session_timeout, NULL::varchar(128) AS external_user_id
FROM pg_catalog.pg_user u WHERE usename = current_user OR (SELECT usesuper FROM pg_catalog.pg_user me WHERE me.usename = current_user);

CREATE VIEW pg_catalog.svv_tables AS
SELECT table_catalog::varchar(128) AS table_catalog, table_schema::varchar(128) AS table_schema, table_name::varchar(128) AS table_name,
  table_type::varchar(12) AS table_type, NULL::varchar(256) AS remarks FROM information_schema.tables;

CREATE VIEW pg_catalog.svv_columns AS
SELECT table_catalog::varchar(128) AS table_catalog, table_schema::varchar(128) AS table_schema, table_name::varchar(128) AS table_name,
  column_name::varchar(128) AS column_name, ordinal_position::int AS ordinal_position, column_default::varchar(4000) AS column_default,
  is_nullable::varchar(3) AS is_nullable, data_type::varchar(128) AS data_type, character_maximum_length::int AS character_maximum_length,
  numeric_precision::int AS numeric_precision, numeric_precision_radix::int AS numeric_precision_radix, numeric_scale::int AS numeric_scale,
  datetime_precision::int AS datetime_precision, NULL::varchar(128) AS interval_type, NULL::varchar(128) AS interval_precision,
  NULL::varchar(256) AS remarks FROM information_schema.columns;

CREATE FUNCTION pg_catalog.getdate() RETURNS timestamp STABLE LANGUAGE sql AS $$ SELECT date_trunc('second', now() AT TIME ZONE 'UTC') $$;

CREATE FUNCTION sluice_sys.recognize(value text, kind text) RETURNS text STABLE LANGUAGE plpgsql SET datestyle = 'ISO, MDY' SET timezone = 'UTC' AS
$$ BEGIN
  IF kind = 'timestamptz' THEN RETURN value::timestamptz::text; END IF;
  IF value::timestamp IS DISTINCT FROM value::timestamptz AT TIME ZONE 'UTC' THEN RETURN 'zone'; END IF;
  RETURN CASE kind WHEN 'date' THEN value::timestamp::date::text ELSE value::timestamp::text END;
EXCEPTION WHEN data_exception THEN RETURN NULL; END $$;

GRANT USAGE ON SCHEMA sluice_sys TO PUBLIC;

GRANT SELECT ON pg_catalog.sys_copy_job, pg_catalog.sys_copy_job_detail, pg_catalog.sys_copy_job_info, pg_catalog.svv_copy_job_integrations,
  pg_catalog.sys_load_history, pg_catalog.sys_load_error_detail, pg_catalog.stl_load_errors, pg_catalog.stl_load_commits, pg_catalog.svv_user_info, pg_catalog.svv_tables,
  pg_catalog.svv_columns TO PUBLIC;

GRANT CREATE ON SCHEMA public TO PUBLIC;
