#!/bin/sh
# Runs once, in an empty database server: a database and an owner each for Orthanc's index and for Keycloak.
set -eu
for name in orthanc keycloak; do
  psql --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --set=name="$name" --set=password="$(cat "/run/secrets/database-$name")" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
SQL
done
