package mariadbtest

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/fenfa/fenfa/internal/mariadbserver"
)

func TestAServerThatWasKilledComesBackWithItsDataOnItsPort(t *testing.T) {
	s := Private(t, mariadbserver.Config{Settings: []string{"--max-connections=77"}})
	address, err := s.Database(t.Context(), "kept")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(t.Context(), "CREATE TABLE kept.numbers (n INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(t.Context(), "INSERT INTO kept.numbers VALUES (42)"); err != nil {
		t.Fatal(err)
	}
	addr, pid := s.Addr(), s.PID()
	if err := s.Kill(); err != nil || s.PID() != 0 || s.Kill() != nil {
		t.Fatalf("kill: %v, pid %d", err, s.PID())
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Addr() != addr || s.PID() == pid || s.Address("kept") != address {
		t.Errorf("it is at %s with pid %d, and was at %s with %d", s.Addr(), s.PID(), addr, pid)
	}
	db, err := mariadbserver.Open(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var n, most int
	if err := db.QueryRowContext(t.Context(), "SELECT n, @@max_connections FROM numbers").Scan(&n, &most); err != nil || n != 42 || most != 77 {
		t.Errorf("read %d, %d connections, %v", n, most, err)
	}
}

func TestSomebodysDatabasesHaveToBeEmptyAndAreLeftEmpty(t *testing.T) {
	s := Private(t, mariadbserver.Config{})
	address, err := s.Database(t.Context(), "theirs")
	if err != nil {
		t.Fatal(err)
	}
	cfg := mariadbserver.PlaceConfig{Addresses: []string{address}, Dir: t.TempDir()}
	p, err := mariadbserver.OpenPlace(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if p.Private() != nil || strings.Join(p.Env(), "") != "FENFA_STORE_URL="+address {
		t.Errorf("the place is %v", p.Private())
	}
	if err := s.Exec(t.Context(), "CREATE TABLE theirs.made (n INT)"); err != nil {
		t.Fatal(err)
	}
	if _, err := mariadbserver.OpenPlace(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "give an empty one") || strings.Contains(err.Error(), mariadbserver.Password) {
		t.Errorf("a database with a table: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := mariadbserver.OpenPlace(t.Context(), cfg)
	if err != nil {
		t.Fatalf("the database is not empty: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestAPrivatePlaceKeepsItsDataInItsDirectory(t *testing.T) {
	Private(t, mariadbserver.Config{}) // Skips where there can be no server.
	dir := t.TempDir()
	for round := range 2 {
		p, err := mariadbserver.OpenPlace(t.Context(), mariadbserver.PlaceConfig{Dir: dir, Shards: 2})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Addresses()) != 2 || p.Private() == nil {
			t.Errorf("addresses: %d", len(p.Addresses()))
		}
		statement := "CREATE TABLE fenfa0.kept (n INT)"
		if round > 0 {
			statement = "DROP TABLE fenfa0.kept"
		}
		if err := p.Private().Exec(t.Context(), statement); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAddressesThatCannotBeOpenedAreNotRepeated(t *testing.T) {
	for _, wrong := range []string{"", "mysql://h", "u:pa55@h/d", "mysql://u:pa5%5@h/d"} {
		if _, err := mariadbserver.Open(wrong); err == nil || strings.Contains(err.Error(), "pa5") {
			t.Errorf("%q: got %v", wrong, err)
		}
	}
}

func TestAServerIsFoundOrNot(t *testing.T) {
	p, ok := mariadbserver.Find()
	if ok != (p.Server != "" && p.Install != "") {
		t.Errorf("found %+v: %v", p, ok)
	}
	if _, err := os.Stat(p.Server); ok && err != nil {
		t.Error(err)
	}
}

func TestAServerHasTemporaryTablesOfItsOwn(t *testing.T) {
	dirs := map[string]bool{}
	for range 2 {
		s := Private(t, mariadbserver.Config{})
		address, err := s.Database(t.Context(), "any")
		if err != nil {
			t.Fatal(err)
		}
		db, err := mariadbserver.Open(address)
		if err != nil {
			t.Fatal(err)
		}
		var dir string
		err = db.QueryRowContext(t.Context(), "SELECT @@tmpdir").Scan(&dir)
		if err = errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		if dirs[dir] || dir == os.TempDir() {
			t.Errorf("the server shares %s with others: one that starts removes the tables of those that run", dir)
		}
		dirs[dir] = true
	}
}
