// etcd's own recipe, in Go: the peer that locks on etcd are measured beside.
//
//	mutex pairs ENDPOINTS PREFIX COUNT        the rate of a free lock
//	mutex writes ENDPOINTS PREFIX COUNT       the rate of a put and a delete: what any lock costs there
//	mutex steps ENDPOINTS PREFIX COUNT        the rate of the two transactions that rootlock makes of a lock and its release
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
	steps := func() func() {
		// What each enqueue compares, and about as much as a record has.
		known := []string{os.Args[3] + "/base", os.Args[3] + "/session"}
		var compare []clientv3.Cmp
		for _, key := range known {
			answer, err := client.Put(ctx, key, "x")
			must(err)
			compare = append(compare, clientv3.Compare(clientv3.ModRevision(key), "=", answer.Header.Revision))
		}
		record := strings.Repeat("v", 200)
		line := os.Args[3] + "/lock/a/"
		number := 0
		return func() {
			number++
			key := fmt.Sprintf("%sx/%x-%d", line, int64(session.Lease()), number)
			absent := clientv3.Compare(clientv3.CreateRevision(key), "=", 0)
			put, err := client.Txn(ctx).If(append(compare, absent)...).Then(
				clientv3.OpPut(key, record, clientv3.WithLease(session.Lease())),
				clientv3.OpGet(line, clientv3.WithPrefix(), clientv3.WithLimit(2),
					clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortDescend)),
			).Commit()
			must(err)
			own := clientv3.Compare(clientv3.CreateRevision(key), "=", put.Header.Revision)
			_, err = client.Txn(ctx).If(own).Then(clientv3.OpDelete(key)).Commit()
			must(err)
		}
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
	case "steps":
		rate(steps())
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
