#!/bin/sh
# Install the Debian packages that the build needs: install_debian_packages.sh LIST
#
# Without root it installs nothing: it prints the command that does, and fails.
set -eu
missing=""
for package in $(grep -v '^#' "$1"); do
  dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null |
    grep -q '^installed$' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "These Debian packages are missing; install them and run make again:" >&2
  echo "  sudo apt-get install --yes$missing" >&2
  exit 1
fi
echo "Installing Debian packages:$missing"
apt-get update --quiet=2
DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 $missing >/dev/null
