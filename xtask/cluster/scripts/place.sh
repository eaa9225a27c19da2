# What the control plane and every node begin with, read by their scripts. $L is the folder of the logs.
mkdir -p "$L"

supervise() { # name, command...: start it again for as long as this namespace lives
  local name=$1
  shift
  while :; do
    "$@" >>"$L/$name.log" 2>&1
    echo "--- $name exited with $?" >>"$L/$name.log"
    sleep 1
  done
}

# A private mount namespace keeps copies of other people's mounts alive; drop them (only after it was made private).
mount --make-rprivate /
for m in $(awk '/ - (nsfs|overlay) /{print $5}' /proc/self/mountinfo); do
  [ "$m" = / ] || umount -l "$m"
done
