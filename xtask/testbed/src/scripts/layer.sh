# Adds Debian packages, given as arguments, to a root that is being built. APT_CONFIG names settings for apt that the
# root shall not keep.
set -eu
apt-get --quiet update
apt-get --quiet --yes --no-install-recommends install "$@"
apt-get clean
rm -f /var/lib/apt/lists/*_*
