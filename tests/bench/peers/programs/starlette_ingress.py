"""An ingress of Starlette, uvicorn and confluent-kafka: answers 200 after Kafka's acknowledgement.

The producer is used as in Confluent's own asyncio example: a thread polls, and a delivery ends a future in the loop.
Its newer `AIOProducer` took half as much CPU again and a tenth of a second for each answer.
Its settings are those of our own ingress: all in-sync replicas, its linger and its compression. Arguments: port,
bootstrap, topic.
"""

import asyncio
import sys
from threading import Thread

import uvicorn
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

port, bootstrap, topic = sys.argv[1:4]
producer = Producer(
    {
        "bootstrap.servers": bootstrap,
        "acks": "all",
        "linger.ms": 5,
        "compression.type": "snappy",
        "enable.idempotence": True,
    }
)


def poll() -> None:
    while True:
        producer.poll(0.1)


async def accept(request: Request) -> Response:
    loop = asyncio.get_running_loop()
    stored = loop.create_future()

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error:
            loop.call_soon_threadsafe(stored.set_exception, KafkaException(error))
        else:
            loop.call_soon_threadsafe(stored.set_result, None)

    producer.produce(topic, await request.body(), on_delivery=delivered)
    try:
        await stored
    except KafkaException:
        return Response(status_code=503)
    return Response()


async def ready(_request: Request) -> Response:
    return Response()


Thread(target=poll, daemon=True).start()
app = Starlette(routes=[Route("/readyz", ready), Route("/v1/nxcloud/cdr", accept, methods=["POST"])])
uvicorn.run(app, port=int(port), loop="uvloop", http="httptools", access_log=False, log_level="error", lifespan="off")
