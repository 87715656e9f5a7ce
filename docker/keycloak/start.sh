#!/bin/bash
# Keycloak takes its secrets from the environment: here they come from files.
set -euo pipefail
KC_DB_PASSWORD="$(cat /run/secrets/database-keycloak)"
KC_BOOTSTRAP_ADMIN_PASSWORD="$(cat /run/secrets/keycloak-admin)"
USERS_PASSWORD="$(cat /run/secrets/first-password)"
ADMIN_CLI_SECRET="$(cat /run/secrets/keycloak-service)"
export KC_DB_PASSWORD KC_BOOTSTRAP_ADMIN_PASSWORD USERS_PASSWORD ADMIN_CLI_SECRET
exec /opt/keycloak/bin/kc.sh start --import-realm
