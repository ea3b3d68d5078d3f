#!/bin/sh
{ # All of it, so that a script that was cut on its way is an error, and does not end well having done nothing.
# Lets this host use the registry @registry@: trusts its authority, proves that by a pull, or takes it all away again.
# Written by registry-runbook, notebook 70-clients. Run it as root, with ca.crt beside it:
#
#   sh trust-registry.sh [--docker] [--podman] [--fingerprint SHA256] [--user NAME]
#   sh trust-registry.sh --remove
#
#   --docker, --podman  for this engine; without either, for each that is on this host
#   --fingerprint       of ca.crt, as the registry's operator tells you by another way than the one that the kit came by
#   --user              who logs in for the pull; the password is asked for, or is a line of standard input
#   --remove            takes away what this script put here
#
# A second run changes nothing. The login for the pull does not stay: for that, `docker login` or `podman login`.
set -eu
umask 022
export LC_ALL=C

registry=@registry@
name=@name@
address=@address@
image=@image@
digest=@digest@

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
hosts=/etc/hosts
kept=$hosts.before-$name
mark="# registry-runbook client of $name"

say() { echo "$registry: $*"; }

fail() { # expected, found, remedy
  echo "expected $1; found $2. To repair: $3." >&2
  exit 1
}

# SHA-256 of the certificate in a file. Of two in it, one would be trusted without being looked at: that is refused.
fingerprint_of() {
  [ "$(awk '{ n += gsub(/-----BEGIN/, "") } END { print n + 0 }' "$1")" = 1 ] || return 1
  sed -n '/BEGIN CERTIFICATE/,/END CERTIFICATE/p' "$1" | grep -v '^-' | tr -d '\r' | base64 -d >"$scratch/der" || return 1
  sha256sum <"$scratch/der" | cut -d ' ' -f 1
}

as_openssl_prints() { echo "$1" | tr a-f A-F | sed 's/../&:/g; s/:$//'; }

confirm() { # the fingerprint of ca.crt
  shown=$(as_openssl_prints "$1")
  if [ -n "$fingerprint" ]; then
    [ "$(echo "${fingerprint##*=}" | tr -d ': ' | tr A-F a-f)" = "$1" ] ||
      fail "ca.crt with the fingerprint $fingerprint" "$shown" "trust neither; ask the registry's operator"
  elif [ -t 0 ]; then
    printf 'SHA-256 fingerprint of ca.crt: %s\nDoes the operator of the registry tell you the same? [yes/no] ' "$shown"
    read -r answer || answer=none
    [ "$answer" = yes ] || fail "the answer yes" "$answer" "trust neither; ask the registry's operator"
  else
    fail "--fingerprint, since nobody can be asked" "ca.crt with $shown" "ask the registry's operator for it"
  fi
}

place_of() { # engine
  case $1 in
    docker) echo "/etc/docker/certs.d/$registry/ca.crt" ;;
    podman) echo "/etc/containers/certs.d/$registry/ca.crt" ;;
  esac
}

refuse_links() { # engine
  path=$(place_of "$1")
  folder=${path%/*}
  for place in "${folder%/*}" "$folder" "$path" "$path.part"; do
    [ ! -L "$place" ] || fail "no link at $place" "one to $(readlink "$place")" "look who made it, and move it away"
  done
}

is_ours() { [ "$(head -n 1 "$1")" = "$mark" ]; }

refuse_other() { # engine
  path=$(place_of "$1")
  [ -e "$path" ] || return 0
  found=$(fingerprint_of "$path") || found="no single certificate"
  [ "$found" = "$authority" ] || is_ours "$path" ||
    fail "no other authority than that of ca.crt in $path" "$found" "find out whose it is, and move it away"
}

# Engines read this folder at each connection: nothing is to be restarted.
trust() { # engine
  path=$(place_of "$1")
  if [ -e "$path" ] && [ "$(fingerprint_of "$path")" = "$authority" ]; then
    say "$path is there already"
    return
  fi
  mkdir -p "${path%/*}"
  rm -f "$path.part"
  { echo "$mark" && cat "$scratch/confirmed"; } >"$path.part"
  mv "$path.part" "$path"
  say "wrote $path"
}

# As text: to sed and grep, the dots of a name stand for any letter.
lines() { # 1: those of this script, 0: all others
  awk -v own=" $mark" -v wanted="$1" '{ at = length($0) - length(own); is_own = at >= 0 && substr($0, at + 1) == own }
    is_own == wanted' "$hosts"
}

named() { # in lines of /etc/hosts: the addresses of the name
  awk -v name="$name" '{ sub(/#.*/, ""); for (i = 2; i <= NF; i++) if (tolower($i) == name) print $1 }'
}

# An engine does not verify TLS on loopback; before 29.8.2 (CVE-2026-92543) one such address among others is enough.
refuse_addresses() {
  found=$(lines 0 | named | sort -u | paste -s -d ' ' -)
  case $found in
    *' '*) remedy="take the lines for $name out of $hosts, but one" ;;
    127.* | ::1) remedy="take the line for $name out of $hosts" ;;
    *) return 0 ;;
  esac
  fail "$name to stand for one address that is not loopback" "$found" "$remedy"
}

# A line that somebody else wrote for the name is left alone; one that is written here wins over the DNS.
add_name() {
  theirs=$(lines 0 | named | sort -u)
  found=$({ named <"$hosts" && getent ahosts "$name"; } | awk '{ print $1 }' | sort -u)
  if [ "$found" = "$address" ]; then
    say "the name stands for $address already"
  elif [ -n "$theirs" ]; then
    say "$hosts has another address for the name than $address: left as it is"
  else
    [ -e "$kept" ] || cp -p "$hosts" "$kept"
    lines 0 >"$scratch/hosts"
    { cat "$scratch/hosts" && { [ -z "$(tail -c 1 "$scratch/hosts")" ] || echo; } && echo "$address $name $mark"; } \
      >"$scratch/new"
    cat "$scratch/new" >"$hosts"
    patience_seconds=6
    say "added $address to $hosts"
  fi
}

read_password() {
  if [ -t 0 ]; then
    stty -echo
    printf 'Password of %s at %s: ' "$user" "$registry"
    IFS= read -r password
    stty echo
    echo
  else
    IFS= read -r password || [ -n "$password" ] || fail "a password on standard input" "none" "give it as a line"
  fi
}

cause_of() { # what an engine said
  case $1 in
    *x509*) echo trust ;;
    *"no basic auth"* | *authentication* | *[Uu]nauthorized* | *password*) echo login ;;
    *) echo network ;;
  esac
}

refused() { # engine, what it was to do, what it said
  case $(cause_of "$3") in
    trust) remedy="get the kit anew: the registry may have another authority by now" ;;
    login) remedy="give --user NAME and the right password" ;;
    network) remedy="see whether $1 runs, and whether this host reaches $name at $address" ;;
  esac
  fail "$1 to $2 (what was put here stays: --remove takes it away)" "$(echo "$3" | tail -n 1)" "$remedy"
}

# A running engine knows a changed /etc/hosts after five seconds at the latest: until then, a failure may pass.
try() { # line for standard input, command
  line=$1
  shift
  until said=$(printf '%s\n' "$line" | "$@" 2>&1); do
    [ "$(cause_of "$said")" = network ] && [ "$patience_seconds" -gt 0 ] || return 1
    sleep 1
    patience_seconds=$((patience_seconds - 1))
  done
}

prove() { # engine
  reference=$registry/$image
  if [ -n "$user" ]; then
    try "$password" "$1" login --username "$user" --password-stdin "$registry" || refused "$1" "log in as $user" "$said"
  fi
  try "" "$1" pull "$reference" || refused "$1" "pull $reference" "$said"
  found=$("$1" image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$reference")
  "$1" image rm "$reference" >/dev/null
  echo "$found" | grep -qxF "$registry/${image%:*}@$digest" ||
    fail "$reference with $digest" "$found" "get the kit anew: another image is there by now"
  say "$1 pulled $image, and it is $digest"
}

take_trust_away() { # engine
  path=$(place_of "$1")
  if [ -e "$path" ] && is_ours "$path"; then
    rm "$path"
    rmdir -p --ignore-fail-on-non-empty "${path%/*}"
    say "removed $path"
  fi
}

take_name_away() {
  if [ -n "$(lines 1)" ]; then
    lines 0 >"$scratch/hosts"
    # The same but for a line end that was missing: then the bytes of before come back.
    if [ -e "$kept" ] && [ "$(cat "$kept")" = "$(cat "$scratch/hosts")" ]; then cp "$kept" "$scratch/hosts"; fi
    cat "$scratch/hosts" >"$hosts"
    say "took $name out of $hosts"
  fi
  rm -f "$kept"
}

engines='' fingerprint='' user='' remove='' patience_seconds=0
while [ $# -gt 0 ]; do
  case $1 in
    --docker | --podman) engines="$engines ${1#--}" ;;
    --fingerprint | --user)
      [ -n "${2:-}" ] || fail "a value after $1" "none" "see the first lines of $0"
      if [ "$1" = --user ]; then user=$2; else fingerprint=$2; fi
      shift
      ;;
    --remove) remove=yes ;;
    *) fail "an option that this script knows" "$1" "see the first lines of $0" ;;
  esac
  shift
done

[ "$(id -u)" = 0 ] || fail "root" "user id $(id -u)" "run it with sudo"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"; if [ -t 0 ]; then stty echo; fi' EXIT
trap 'exit 130' HUP INT TERM

if [ -n "$remove" ]; then
  for engine in docker podman; do refuse_links "$engine"; done
  for engine in docker podman; do take_trust_away "$engine"; done
  take_name_away
  say "nothing of this script is left here"
  exit
fi

for engine in docker podman; do
  case " $engines " in
    *" $engine "*) command -v "$engine" >/dev/null || fail "$engine on this host" "none" "install it" ;;
  esac
done
if [ -z "$engines" ]; then
  for engine in docker podman; do
    if command -v "$engine" >/dev/null; then engines="$engines $engine"; fi
  done
fi
[ -n "$engines" ] || fail "docker or podman on this host" "neither" "install one of them"

cp "$here/ca.crt" "$scratch/ca.crt" || fail "ca.crt in $here" "none" "copy the whole folder"
authority=$(fingerprint_of "$scratch/ca.crt") || fail "one certificate in ca.crt" "none, or more" "get the kit anew"
# What was hashed, and nothing else that stands in the file, is what will be trusted.
{
  echo '-----BEGIN CERTIFICATE-----'
  base64 <"$scratch/der" | tr -d '\n' | fold -w 64
  echo
  echo '-----END CERTIFICATE-----'
} >"$scratch/confirmed"
confirm "$authority"
for engine in $engines; do
  refuse_links "$engine"
  refuse_other "$engine"
done
refuse_addresses
if [ -n "$user" ]; then
  read_password
  export DOCKER_CONFIG="$scratch/login" REGISTRY_AUTH_FILE="$scratch/login.json"
fi
for engine in $engines; do trust "$engine"; done
add_name
for engine in $engines; do prove "$engine"; done
exit
}
