import httpx

with open("7.png", "rb") as file:
    response = httpx.post("http://127.0.0.1:8000/predict", files={"file": file})
print(response.raise_for_status().json()["digit"])
