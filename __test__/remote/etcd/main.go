// An etcd server for tests: the same as the published one, which can't be had by `go install`; and the restore of a
// snapshot, `etcd restore SNAPSHOT NAME=PEER_URL DATA`.
package main

import (
	"os"
	"strings"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"go.uber.org/zap"
)

func main() {
	if len(os.Args) != 5 || os.Args[1] != "restore" {
		etcdmain.Main(os.Args)
		return
	}
	name, url, _ := strings.Cut(os.Args[3], "=")
	err := snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath:        os.Args[2],
		Name:                name,
		PeerURLs:            []string{url},
		InitialCluster:      os.Args[3],
		InitialClusterToken: "restored",
		OutputDataDir:       os.Args[4],
		// A copy of a member's file has none.
		SkipHashCheck: true,
	})
	if err != nil {
		panic(err)
	}
}
