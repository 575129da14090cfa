// Command centrifuge serves Centrifuge, the engine of Centrifugo: anybody may subscribe and publish.
//
// With -tuned it does what its makers recommend for many connections: it gathers what it writes for 10 ms by a timer
// instead of a goroutine, shares write buffers between connections, reads into small ones, and handles commands in
// goroutines that end, so that an idle connection keeps no deep stack.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/centrifugal/centrifuge"
)

func main() {
	tuned := flag.Bool("tuned", false, "gather writes, pool buffers, keep stacks small")
	version := flag.Bool("version", false, "print the engine's version and end")
	flag.Parse()
	if *version {
		printVersion()
		return
	}

	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		log.Fatal(err)
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		reply := centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}
		if *tuned {
			reply.WriteDelay = 10 * time.Millisecond
			reply.WriteWithTimer = true
			reply.MaxMessagesInFrame = -1
			reply.ReplyWithoutQueue = true
		}
		return reply, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
			answer(centrifuge.SubscribeReply{}, nil)
		})
		client.OnPublish(func(_ centrifuge.PublishEvent, answer centrifuge.PublishCallback) {
			answer(centrifuge.PublishReply{}, nil)
		})
	})
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}
	config := centrifuge.WebsocketConfig{CheckOrigin: func(*http.Request) bool { return true }}
	if *tuned {
		config.UseWriteBufferPool = true
		config.ReadBufferSize = 1024
		config.ProcessCommandsOffReadLoop = true
	}
	http.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, config))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}

func printVersion() {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/centrifugal/centrifuge" {
			fmt.Println(module.Version, "on", runtime.Version())
		}
	}
}
