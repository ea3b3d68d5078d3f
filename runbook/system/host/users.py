"""The users and groups of this host."""

import grp
import pwd


def in_group(group: int) -> set[int]:
    """Return the ids of a group's users: those whose first group it is, and its members; it may have none."""
    try:
        named = set(grp.getgrgid(group).gr_mem)
    except KeyError:
        named = set()
    return {user.pw_uid for user in pwd.getpwall() if user.pw_gid == group or user.pw_name in named}
