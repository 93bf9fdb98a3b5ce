package node

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/config"
	"github.com/fenfa/fenfa/internal/mariadbserver"
	"github.com/fenfa/fenfa/internal/mariadbserver/mariadbtest"
	"github.com/fenfa/fenfa/internal/store/mysql"
	"github.com/fenfa/fenfa/internal/task"
)

func TestADatabaseThatCannotBeReachedIsNamed(t *testing.T) {
	opts := options(t)
	host := nobody(t)
	opts.Config.Store.URL = config.URL("mysql://fenfa:" + secret + "@" + host + "/state")
	opts.Config.Store.Timeout = time.Second
	e := refused(t, opts)
	for _, want := range []string{"cannot be reached", "mysql://fenfa:[redacted]@" + host + "/state", "connection refused"} {
		if !strings.Contains(e.Message, want) {
			t.Errorf("%q is not in %q", want, e.Message)
		}
	}
	if e.Field != "store.url" {
		t.Errorf("the field is %q", e.Field)
	}
}

func TestErrorsOfDatabasesSayWhatToDo(t *testing.T) {
	url := config.URL("mysql://fenfa:" + secret + "@h/one,mysql://fenfa:" + secret + "@h/two")
	for want, err := range map[string]error{
		"CREATE DATABASE IF NOT EXISTS `two`; GRANT ALL PRIVILEGES ON `two`.* TO 'fenfa'@'%';": mysql.ErrNoDatabase,
		"check user and password":              mysql.ErrLogin,
		"made by a newer version":              mysql.ErrNewerSchema,
		"not the shards of one cluster":        mysql.ErrShards,
		"takes no changes":                     mysql.ErrReadOnly,
		"check that it runs":                   context.DeadlineExceeded,
		"a database cannot be used (store.url": errors.New("something else"),
	} {
		got := storeError(url, err)
		if !strings.Contains(got.Error(), want) || !errors.Is(got, err) || strings.Contains(got.Error(), secret) {
			t.Errorf("%v became %v", err, got)
		}
	}
	if err := storeError(url, context.Canceled); !errors.Is(err, context.Canceled) || task.CodeOf(err) == task.CodeFailedPrecondition {
		t.Errorf("a start that was called off: %v", err)
	}
}

func TestSettingsReachTheDriverOfTheStore(t *testing.T) {
	cert, key := certificate(t)
	cfg, err := mysqlConfig(&config.Store{
		URL: config.URL("mysql://u:" + secret + "@a/x,mysqls://v:" + secret + "@b,c:1/y"), Timeout: time.Minute, Connections: 9, Lifetime: time.Hour,
		TLS: config.StoreTLS{CA: cert, Cert: cert, Key: key},
	})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Timeout != time.Minute || cfg.Connections != 9 || cfg.Lifetime != time.Hour || cfg.TLS.RootCAs == nil || len(cfg.TLS.Certificates) != 1 {
		t.Errorf("got %+v", cfg)
	}
	if len(cfg.Shards) != 2 || cfg.Shards[0].TLS || !cfg.Shards[1].TLS || len(cfg.Shards[1].Hosts) != 2 || string(cfg.Shards[0].Password) != secret {
		t.Errorf("got %+v", cfg.Shards)
	}
	for field, wrong := range map[string]config.Store{
		"store.url":      {URL: "mysql://u:" + secret + "@/x"},
		"store.tls.ca":   {URL: "mysqls://a/x", TLS: config.StoreTLS{CA: key}},
		"store.tls.cert": {URL: "mysqls://a/x", TLS: config.StoreTLS{Cert: key, Key: cert}},
	} {
		_, err := mysqlConfig(&wrong)
		if e, ok := errors.AsType[*task.Error](err); !ok || e.Field != field || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// onMariaDB lets a node keep its state in databases of the server.
func onMariaDB(t *testing.T, opts Options, server *mariadbserver.Server, names ...string) Options {
	t.Helper()
	var list []string
	for _, name := range names {
		address, err := server.Database(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, address)
	}
	opts.Config.Store.URL = config.URL(strings.Join(list, ","))
	return opts
}

func TestANodeKeepsItsStateInDatabases(t *testing.T) {
	server := mariadbtest.Private(t, mariadbserver.Config{})
	opts := onMariaDB(t, options(t), server, "one", "two")
	r := start(t, opts)
	r.queue()
	id := r.submit(&fenfav1.Task{Queue: "orders", Key: "k", RunAt: nil})
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = start(t, opts)
	if got := r.status(id).GetState(); got != fenfav1.TaskState_TASK_STATE_QUEUED && got != fenfav1.TaskState_TASK_STATE_READY {
		t.Errorf("after a restart the task is %v", got)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}

	t.Run("an audit of the data directory says where the state is", func(t *testing.T) {
		_, err := AuditDir(t.Context(), opts.Config.DataDir, nil, nil, nil)
		if e, ok := errors.AsType[*task.Error](err); !ok || !strings.Contains(e.Message, "is in databases") || !strings.Contains(e.Message, "--addr") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the data directory belongs to its databases", func(t *testing.T) {
		other := onMariaDB(t, opts, server, "three")
		if e := refused(t, other); !strings.Contains(e.Message, "belongs to other databases") {
			t.Errorf("other databases: %v", e)
		}
		other.Config.Store.URL = ""
		if e := refused(t, other); !strings.Contains(e.Message, "is in databases") {
			t.Errorf("no database: %v", e)
		}
	})
	t.Run("a data directory with state in it is refused", func(t *testing.T) {
		own := options(t)
		if err := start(t, own).stop(); err != nil {
			t.Fatal(err)
		}
		if e := refused(t, onMariaDB(t, own, server, "four")); !strings.Contains(e.Message, "holds state itself") {
			t.Errorf("got %v", e)
		}
	})
	t.Run("the number of partitions is the cluster's", func(t *testing.T) {
		other := opts
		other.Config.DataDir = filepath.Join(t.TempDir(), "data")
		other.Config.Partitions++
		if e := refused(t, other); e.Field != "partitions" {
			t.Errorf("got %v", e)
		}
	})
	for name, c := range map[string]struct{ url, want string }{
		"a wrong password":   {strings.ReplaceAll(opts.Config.Store.URL.Reveal(), mariadbserver.Password, secret), "check user and password"},
		"no such database":   {server.Address("nowhere"), "CREATE DATABASE IF NOT EXISTS `nowhere`"},
		"shards in disorder": {server.Address("two") + "," + server.Address("one"), "in their order"},
	} {
		t.Run(name, func(t *testing.T) {
			other := options(t)
			other.Config.Store.URL = config.URL(c.url)
			e := refused(t, other)
			if !strings.Contains(e.Message, c.want) || strings.Contains(e.Message, mariadbserver.Password) {
				t.Errorf("got %v", e)
			}
		})
	}
}
