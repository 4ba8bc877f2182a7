# Before the mysql image's own entrypoint. That one makes the user with the very first data and never again, so a later
# password would not reach it, and a quote in the password breaks its SQL. PINFLOW_ACCOUNTS is SQL of ours (accounts.py)
# that makes or alters the user, and that the server runs at each of its starts.
set -e
if [ -n "$PINFLOW_ACCOUNTS" ]; then
    accounts=/docker-entrypoint-initdb.d/accounts.sql
    printf '%s' "$PINFLOW_ACCOUNTS" > "$accounts"
    unset PINFLOW_ACCOUNTS MYSQL_DATABASE MYSQL_USER MYSQL_PASSWORD
    # A server that makes its data cannot run it yet: the entrypoint does so then.
    if [ -d /var/lib/mysql/mysql ]; then
        set -- "$@" "--init-file=$accounts"
    fi
fi
exec docker-entrypoint.sh mysqld "$@"
