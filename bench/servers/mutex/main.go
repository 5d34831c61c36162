// etcd's own recipe, in Go: the peer that locks on etcd are measured beside.
//
//	mutex pairs ENDPOINTS PREFIX COUNT        the rate of a free lock
//	mutex writes ENDPOINTS PREFIX COUNT       the rate of a put and a delete: what any lock costs there
//	mutex turns ENDPOINTS PREFIX COUNT HOLD   when each grant and release was, in microseconds of CLOCK_MONOTONIC
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"golang.org/x/sys/unix"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func now() int64 {
	var at unix.Timespec
	must(unix.ClockGettime(unix.CLOCK_MONOTONIC, &at))
	return at.Nano() / 1000
}

func main() {
	count, err := strconv.Atoi(os.Args[4])
	must(err)
	client, err := clientv3.New(clientv3.Config{Endpoints: strings.Split(os.Args[2], ",")})
	must(err)
	session, err := concurrency.NewSession(client)
	must(err)
	mutex := concurrency.NewMutex(session, os.Args[3])
	ctx := context.Background()
	cycle := func() {
		must(mutex.Lock(ctx))
		must(mutex.Unlock(ctx))
	}
	write := func() {
		_, err := client.Put(ctx, os.Args[3], "x")
		must(err)
		_, err = client.Delete(ctx, os.Args[3])
		must(err)
	}
	rate := func(what func()) {
		for i := 0; i < 20; i++ {
			what()
		}
		begun := time.Now()
		for i := 0; i < count; i++ {
			what()
		}
		fmt.Println(float64(count) / time.Since(begun).Seconds())
	}
	switch os.Args[1] {
	case "pairs":
		rate(cycle)
	case "writes":
		rate(write)
	case "turns":
		hold, err := time.ParseDuration(os.Args[5] + "ms")
		must(err)
		for i := 0; i < count; i++ {
			must(mutex.Lock(ctx))
			granted := now()
			time.Sleep(hold)
			released := now()
			must(mutex.Unlock(ctx))
			fmt.Println(granted, released)
		}
	}
	must(session.Close())
}
