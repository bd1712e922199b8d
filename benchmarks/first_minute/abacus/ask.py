from abacus_client import Client

with Client("http://127.0.0.1:8000") as client:
    print(client.predict("digit", "7.png").digit)
