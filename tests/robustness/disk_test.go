package robustness

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	fenfa "github.com/fenfa/fenfa"
	"github.com/fenfa/fenfa/tests/harness"
)

// smallDisk mounts a file system of the given size that lives in memory. It
// takes root: where that is missing the test is skipped, in CI it fails.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a small disk: %v: CI runs as root", err)
		}
		t.Skipf("NOT TESTED: a full disk, because a small one cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount the small disk: %v", err)
		}
	})
	return dir
}

// fill submits large orders until the node refuses one, and returns what was
// confirmed and why no more.
func fill(t *testing.T, client *fenfa.Client) (confirmed []submission, refusal error) {
	t.Helper()
	pad := noise(512 << 10)
	for i := 1; i <= 4000; i++ {
		task := fenfa.NewTask(orders, order{N: i, Pad: pad}, fenfa.Key("sku"))
		if _, err := client.Submit(t.Context(), task); err != nil {
			return confirmed, err
		}
		confirmed = append(confirmed, submission{id: task.ID(), key: "sku", n: i, confirmed: true})
	}
	t.Fatal("2 GB fit onto a small disk")
	return nil, nil
}

func TestAFullDiskRefusesNewTasksAndFinishesOldOnes(t *testing.T) {
	n := harness.NewNode(t, filepath.Join(smallDisk(t, "750m"), "data"))
	n.Start()
	client := n.Dial()
	configure(t, client)

	confirmed, refusal := fill(t, client)
	if !errors.Is(refusal, fenfa.ErrResourceExhausted) || !strings.Contains(refusal.Error(), "disk") {
		t.Errorf("a full disk is refused with %v (%v), want resource_exhausted and a word about the disk", refusal, fenfa.CodeOf(refusal))
	}
	if len(confirmed) == 0 {
		t.Fatal("no order fitted")
	}
	t.Logf("%d orders of 512 KiB were confirmed before: %v", len(confirmed), refusal)

	// A restart on the full disk works too.
	n.Kill()
	n.Launch()
	startWorker(t, n.GRPC, "worker")
	check(t, client, confirmed)
}

// TestADiskThatFailsEndsTheNodeAndLosesNothing takes the room away under load,
// also what the node keeps free for completions. It may go on or end, as the
// moment has it; what it confirmed is there when there is room again.
func TestADiskThatFailsEndsTheNodeAndLosesNothing(t *testing.T) {
	disk := smallDisk(t, "1g")
	n := harness.NewNode(t, filepath.Join(disk, "data"))
	n.Start()
	client := n.Dial(fenfa.WithSubmitTimeout(2 * time.Second))
	configure(t, client)
	startWorker(t, n.GRPC, "worker")
	load := &load{t: t, client: client, keys: 8, every: time.Millisecond, prefix: "sku", pad: noise(32 << 10)}
	stop := load.start()
	if err := harness.Eventually(t.Context(), "200 orders are confirmed", func(context.Context) bool { return load.confirmed() >= 200 }); err != nil {
		t.Fatal(err)
	}

	balloon := inflate(t, disk)
	select {
	case <-n.Done():
		if code := n.Code(); code != exitNode {
			t.Errorf("the node ended with code %d, want %d", code, exitNode)
		}
		noStackTrace(t, n.Output())
	case <-time.After(3 * time.Second):
		t.Log("the node got by without room")
	}
	if err := os.Remove(balloon); err != nil {
		t.Fatal(err)
	}
	n.Kill()
	n.Start()
	stop()
	check(t, client, load.submissions)
}

// noise returns text that does not compress well.
func noise(size int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-"
	random := rand.New(rand.NewPCG(1, 1))
	b := make([]byte, size)
	for i := range b {
		b[i] = letters[random.IntN(len(letters))]
	}
	return string(b)
}

// inflate takes all the room that is left, and returns the file that has it.
func inflate(t *testing.T, disk string) string {
	t.Helper()
	file, err := os.Create(filepath.Join(disk, "balloon"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := io.Copy(file, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill the disk: %v", err)
	}
	return file.Name()
}

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
