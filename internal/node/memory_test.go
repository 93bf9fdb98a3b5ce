package node

import (
	"os"
	"testing"

	"github.com/fenfa/fenfa/internal/config"
)

// machine is a fake of the files and variables that a plan reads.
type machine struct {
	files map[string]string
	env   map[string]string
}

func (m machine) read(name string) ([]byte, error) {
	text, ok := m.files[name]
	if !ok {
		return nil, os.ErrNotExist
	}
	return []byte(text), nil
}

func (m machine) plan(c config.Memory) memoryPlan {
	return planMemory(c, func(name string) string { return m.env[name] }, m.read)
}

const sixteenGiB = "MemFree: 1 kB\nMemTotal:       16777216 kB\n"

func TestMemoryFollowsTheTightestLimit(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  int64 // what there is
	}{
		{"a machine", map[string]string{"/proc/meminfo": sixteenGiB}, 16 << 30},
		{"a container of version 2", map[string]string{
			"/proc/meminfo": sixteenGiB, "/proc/self/cgroup": "0::/a/b\n",
			"/sys/fs/cgroup/a/b/memory.max": "max\n", "/sys/fs/cgroup/a/memory.max": "1073741824\n", "/sys/fs/cgroup/memory.max": "2147483648\n",
		}, 1 << 30},
		{"a container that sees itself as the root", map[string]string{
			"/proc/meminfo": sixteenGiB, "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "536870912",
		}, 512 << 20},
		{"a container of version 1", map[string]string{
			"/proc/meminfo": sixteenGiB, "/proc/self/cgroup": "5:cpu:/x\n4:memory,hugetlb:/x\nrubbish\n",
			"/sys/fs/cgroup/memory/x/memory.limit_in_bytes": "268435456", "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
		}, 256 << 20},
		{"nothing known", map[string]string{"/proc/meminfo": "MemTotal: lots kB\n", "/proc/self/cgroup": "0::/\n"}, 0},
		{"no files", nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := availableMemory(machine{files: c.files}.read); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestSettingsAndVariablesWinOverTheMachine(t *testing.T) {
	files := map[string]string{"/proc/meminfo": sixteenGiB}
	for _, c := range []struct {
		name   string
		env    map[string]string
		memory config.Memory
		want   memoryPlan
	}{
		{"the machine", nil, config.Memory{}, memoryPlan{limit: 15461882265, gcPercent: 200}},
		{"a setting", nil, config.Memory{Limit: 1 << 30, GCPercent: 50}, memoryPlan{limit: 1 << 30, gcPercent: 50}},
		{"the runtime's limit", map[string]string{"GOMEMLIMIT": "1GiB"}, config.Memory{}, memoryPlan{gcPercent: 200}},
		{"the runtime's percentage", map[string]string{"GOGC": "100"}, config.Memory{}, memoryPlan{limit: 15461882265}},
		{"a setting over the runtime's", map[string]string{"GOMEMLIMIT": "1GiB", "GOGC": "100"}, config.Memory{Limit: 2 << 30, GCPercent: 70}, memoryPlan{limit: 2 << 30, gcPercent: 70}},
	} {
		if got := (machine{files: files, env: c.env}).plan(c.memory); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
	if got := (machine{}).plan(config.Memory{}); got != (memoryPlan{}) {
		t.Errorf("without any limit the heap may grow fast: %+v", got)
	}
}
