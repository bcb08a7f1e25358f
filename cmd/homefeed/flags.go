package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	bigtablestore "homefeed/shelves/store/bigtable"
)

func (c command) flagSet() *flag.FlagSet {
	fs := flag.NewFlagSet("homefeed "+c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run shows errors, shorter than the package does
	fs.Usage = func() {}
	c.action.flags(fs)
	return fs
}

// parse reads args into a, whose flags fs has. The error is flag.ErrHelp, or says what is wrong in words for the user.
func parse(fs *flag.FlagSet, a action, args []string) error {
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%s: %w%s", fs.Name(), err, explain(fs, err))
	}
	if err := a.check(fs.Args()); err != nil {
		return fmt.Errorf("%s: %w", fs.Name(), err)
	}
	return nil
}

// explain is the help of the flag that an error of Parse is about, as far as there is such a flag.
func explain(fs *flag.FlagSet, err error) string {
	text := ""
	fs.VisitAll(func(f *flag.Flag) {
		if strings.Contains(err.Error(), " flag -"+f.Name+":") || strings.HasSuffix(err.Error(), ": -"+f.Name) {
			kind, help := flag.UnquoteUsage(f)
			text = fmt.Sprintf("; want -%s %s: %s", f.Name, kind, help)
		}
	})
	return text
}

// wrong is the error of a flag's value.
func wrong(name, value, want string) error {
	if value == "" {
		return fmt.Errorf("-%s is missing: want %s", name, want)
	}
	return fmt.Errorf("-%s %q: want %s", name, value, want)
}

func given(name, value, want string) error {
	if value == "" {
		return wrong(name, value, want)
	}
	return nil
}

func noArguments(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("argument %q: want flags only", rest[0])
	}
	return nil
}

// address checks what a process is to listen on.
func address(name, value string) error {
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return wrong(name, value, "host:port, or :port for every address of this machine")
	}
	return nil
}

// target checks the address of a service to call.
func target(name, value string) error {
	hostport := value
	if scheme, rest, ok := strings.Cut(value, ":///"); ok && scheme != "" {
		hostport = rest
	}
	if host, port, err := net.SplitHostPort(hostport); err != nil || host == "" || port == "" {
		return wrong(name, value, "host:port or dns:///host:port")
	}
	return nil
}

func httpURL(name, value, want string) error {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return wrong(name, value, want)
	}
	return nil
}

// cloudConfig is where the roles find Pub/Sub and Bigtable.
type cloudConfig struct {
	Project  string
	Instance string
}

func (c *cloudConfig) flags(fs *flag.FlagSet) {
	fs.StringVar(&c.Project, "project", "", "Google Cloud `project`")
	fs.StringVar(&c.Instance, "instance", "", "Bigtable `instance`")
}

func (c *cloudConfig) check() error {
	return errors.Join(
		given("project", c.Project, "the Google Cloud project's id"),
		given("instance", c.Instance, "the Bigtable instance's id"))
}

// rowsConfig is where Home's rows are.
type rowsConfig struct {
	Cloud cloudConfig
	Table string
}

func (c *rowsConfig) flags(fs *flag.FlagSet) {
	c.Cloud.flags(fs)
	fs.StringVar(&c.Table, "table", bigtablestore.DefaultTable, "Bigtable `table` of Home's rows")
}

func (c *rowsConfig) check() error {
	return errors.Join(c.Cloud.check(), given("table", c.Table, "the table of Home's rows"))
}

func (c *rowsConfig) store() bigtablestore.Config {
	return bigtablestore.Config{Project: c.Cloud.Project, Instance: c.Cloud.Instance, Table: c.Table}
}

func listenFlag(fs *flag.FlagSet, addr *string, otherwise string) {
	fs.StringVar(addr, "listen", otherwise, "`address` to serve on")
}

func adminFlag(fs *flag.FlagSet, addr *string) {
	fs.StringVar(addr, "admin", "127.0.0.1:9090", "`address` of health and metrics")
}

func plaintextFlag(fs *flag.FlagSet, plaintext *bool) {
	fs.BoolVar(plaintext, "plaintext", false, "call services that are not on loopback without TLS: only inside a network that encrypts, such as a service mesh")
}

// listening checks the addresses of a role that serves.
func listening(listen, admin string) error {
	var same error
	if _, port, err := net.SplitHostPort(listen); err == nil && port != "0" && listen == admin {
		same = wrong("admin", admin, "another address than -listen has")
	}
	return cmp.Or(errors.Join(address("listen", listen), address("admin", admin)), same)
}
