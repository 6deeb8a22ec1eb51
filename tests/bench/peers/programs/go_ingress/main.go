// An ingress of net/http and franz-go: reads a body, produces it, and answers 200 after Kafka's acknowledgement.
//
// Options are franz-go's defaults (idempotent, acknowledged by all in-sync replicas), but for what our own ingress
// sets too: the linger and the compression. Arguments: port, bootstrap, topic.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const largestBody = 10 << 20

func main() {
	port, bootstrap, topic := os.Args[1], os.Args[2], os.Args[3]
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.DefaultProduceTopic(topic),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	http.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("POST /", func(answer http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(answer, request.Body, largestBody))
		if err != nil {
			http.Error(answer, "the body cannot be read", http.StatusBadRequest)
			return
		}
		if err := client.ProduceSync(request.Context(), kgo.SliceRecord(body)).FirstErr(); err != nil {
			http.Error(answer, "not stored", http.StatusServiceUnavailable)
		}
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, nil))
}
