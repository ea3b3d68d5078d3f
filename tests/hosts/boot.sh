# What a test host does before its systemd starts: boot.sh [ADDRESS], as process 1, each time that it is started.
set -eu
kept=/var/lib/test-host

# A file that Docker mounts cannot be renamed over; on a real host these three can. Once they are there, they are the
# host's own, as it left them, but for the address that Docker has given to this container.
hosts=$(cat /etc/hosts) name=$(cat /etc/hostname) resolver=$(cat /etc/resolv.conf)
umount /etc/hosts /etc/hostname /etc/resolv.conf
if ! test -e $kept/has-files; then
    echo "$hosts" >/etc/hosts; echo "$name" >/etc/hostname; echo "$resolver" >/etc/resolv.conf
    mkdir -p $kept; touch $kept/has-files
elif test -e $kept/etc; then  # no image holds them by their own names
    cp -a $kept/etc/. /etc/; rm -r $kept/etc
fi
given=$(echo "$hosts" | grep "[[:space:]]$name\$")
grep -qxF "$given" /etc/hosts || sed -i "s/^[0-9.]*[[:space:]]$name\$/$given/" /etc/hosts

# A host that was stored with its engine finds that again; what is in a volume is in no image.
if test -e $kept/engine.tar; then
    tar -x --xattrs --xattrs-include='*' -C /var/lib/docker -f $kept/engine.tar
    rm $kept/engine.tar
fi

# Control groups of its own, which Docker lets be read alone.
for place in $(awk '$2 ~ "^/sys/fs/cgroup" {print $2}' /proc/mounts); do mount -o remount,bind,rw "$place"; done

# An address that stays the same wherever the host is started, as that of a second network card.
if test $# -gt 0; then
    ip link add lan0 type bridge
    ip address add "$1/24" dev lan0
    ip link set lan0 up
fi
exec /sbin/init
