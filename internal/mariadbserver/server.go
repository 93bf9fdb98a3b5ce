package mariadbserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/fenfa/fenfa/internal/child"
	"github.com/fenfa/fenfa/internal/loopback"
)

// Credentials of the servers that Start starts.
const (
	User     = "fenfa"
	Password = "not-a-secret-but-never-shown"
)

// startTimeout bounds the start of one server, and the making of its data.
const startTimeout = 3 * time.Minute

// Config says what to start.
type Config struct {
	Dir string // for data and log; required
	// Settings are further options of the server, like "--innodb-buffer-pool-size=1G".
	Settings []string
}

// Server is one server.
type Server struct {
	cfg      Config
	programs Programs
	port     *loopback.Reservation
	process  *child.Process
	output   *os.File
	sockets  string  // the directory of the socket
	admin    *sql.DB // over the socket
}

// Start makes the data of a server and starts it. It returns when the server is
// up.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	programs, ok := Find()
	if !ok {
		return nil, ErrMissing
	}
	s := &Server{cfg: cfg, programs: programs}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := s.prepare(ctx); err != nil {
		return nil, fmt.Errorf("prepare MariaDB: %w", err)
	}
	if err := errors.Join(s.Start(ctx), s.allow(ctx)); err != nil {
		return nil, errors.Join(fmt.Errorf("start MariaDB: %w", err), s.Stop())
	}
	return s, nil
}

func (s *Server) prepare(ctx context.Context) error {
	dir, err := filepath.Abs(s.cfg.Dir)
	if err != nil {
		return err
	}
	s.cfg.Dir = dir
	if err := os.MkdirAll(s.temporary(), 0o700); err != nil {
		return err
	}
	if err := s.install(ctx); err != nil {
		return err
	}
	// The path of a socket has to be short, which that of the data may not be.
	if s.sockets, err = os.MkdirTemp("", "fenfa-mariadb-"); err != nil {
		return err
	}
	if s.port, err = loopback.Reserve(1); err != nil {
		return errors.Join(err, os.RemoveAll(s.sockets))
	}
	settings := mysql.NewConfig()
	settings.User, settings.Net, settings.Addr = "root", "unix", s.socket()
	settings.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(settings)
	if err != nil {
		return errors.Join(err, s.port.Release(), os.RemoveAll(s.sockets))
	}
	s.admin = sql.OpenDB(connector)
	return nil
}

// install makes the data, unless an earlier run left them.
func (s *Server) install(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(s.data(), "mysql")); err == nil {
		return nil
	}
	cmd := exec.CommandContext(ctx, s.programs.Install, //nolint:gosec // The program that was found.
		"--no-defaults", "--datadir="+s.data(), "--tmpdir="+s.temporary(), "--auth-root-authentication-method=normal", "--skip-test-db", "--user="+user())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make data: %w: %s", err, tail(out))
	}
	return nil
}

// user is whom the server runs as; it refuses to be root unless told.
func user() string {
	if os.Geteuid() == 0 {
		return "root"
	}
	return os.Getenv("USER")
}

func (s *Server) data() string { return filepath.Join(s.cfg.Dir, "data") }

// temporary is a directory of the server's own: one that starts removes all temporary
// tables from its directory, also those that another server uses at that moment.
func (s *Server) temporary() string { return filepath.Join(s.cfg.Dir, "tmp") }

func (s *Server) socket() string { return filepath.Join(s.sockets, "socket") }

// Addr is host:port of the server.
func (s *Server) Addr() string { return s.port.Addr(0) }

// Start starts the server, or starts it again, and returns when it is up.
func (s *Server) Start(ctx context.Context) error {
	output, err := os.OpenFile(filepath.Join(s.cfg.Dir, "output"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	args := append([]string{
		"--no-defaults", "--datadir=" + s.data(), "--tmpdir=" + s.temporary(), "--socket=" + s.socket(), "--port=" + strconv.Itoa(s.port.Ports()[0]),
		"--bind-address=127.0.0.1", "--pid-file=" + filepath.Join(s.cfg.Dir, "pid"), "--user=" + user(), "--skip-name-resolve",
		"--innodb-buffer-pool-size=128M", "--innodb-log-file-size=128M", "--max-connections=500",
	}, s.cfg.Settings...)
	s.process, err = child.Start(child.Config{Path: s.programs.Server, Args: args, Stderr: output})
	if err != nil {
		return errors.Join(err, output.Close())
	}
	s.output = output
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return s.ready(ctx)
}

// ready waits until the server answers.
func (s *Server) ready(ctx context.Context) error {
	const between = 50 * time.Millisecond
	ticker := time.NewTicker(between)
	defer ticker.Stop()
	for {
		if s.admin.PingContext(ctx) == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-s.process.Done():
			return fmt.Errorf("the server ended: %w: %s", s.process.Err(), s.log())
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w: %s", ctx.Err(), s.log())
		}
	}
}

// allow makes the user that others use.
func (s *Server) allow(ctx context.Context) error {
	for _, statement := range []string{
		"CREATE USER IF NOT EXISTS '" + User + "'@'%' IDENTIFIED BY '" + Password + "'",
		"GRANT ALL PRIVILEGES ON *.* TO '" + User + "'@'%'",
	} {
		if err := s.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// Exec runs a statement as the server's administrator.
func (s *Server) Exec(ctx context.Context, statement string) error {
	if _, err := s.admin.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("run statement: %w", err)
	}
	return nil
}

// Database makes a database, if it does not exist, and returns its address with
// user and password.
func (s *Server) Database(ctx context.Context, name string) (string, error) {
	if err := s.Exec(ctx, "CREATE DATABASE IF NOT EXISTS `"+name+"` CHARACTER SET utf8mb4"); err != nil {
		return "", fmt.Errorf("make database %s: %w", name, err)
	}
	return s.Address(name), nil
}

// Address returns the address of a database, with user and password.
func (s *Server) Address(database string) string {
	return "mysql://" + User + ":" + Password + "@" + s.Addr() + "/" + database
}

// PID is the number of the server's process; 0 when it does not run.
func (s *Server) PID() int {
	if s.process == nil {
		return 0
	}
	return s.process.PID()
}

// Kill ends the server by SIGKILL and waits until it is gone. Its data stays, and
// so does its port.
func (s *Server) Kill() error {
	if s.process == nil {
		return nil
	}
	err := errors.Join(s.process.Kill(), s.output.Close())
	s.process = nil
	return err
}

// Freeze stops the server where it is, Thaw lets it go on.
func (s *Server) Freeze() error { return s.process.Freeze() }

// Thaw lets a server go on that Freeze stopped.
func (s *Server) Thaw() error { return s.process.Thaw() }

// Stop kills the server and gives its port back; its data stays in the directory.
func (s *Server) Stop() error {
	// The connections first: they say goodbye.
	return errors.Join(s.admin.Close(), s.Kill(), s.port.Release(), os.RemoveAll(s.sockets))
}

// log is the end of what the server wrote.
func (s *Server) log() []byte {
	out, err := os.ReadFile(filepath.Join(s.cfg.Dir, "output"))
	if err != nil {
		return nil
	}
	return tail([]byte(strings.TrimSpace(string(out))))
}

// tail is the end of a command's output.
func tail(out []byte) []byte {
	const most = 2000
	return out[max(0, len(out)-most):]
}
