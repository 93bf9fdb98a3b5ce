package shards

import (
	"os"
	"testing"

	"github.com/fenfa/fenfa/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
