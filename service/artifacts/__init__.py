"""The format that training writes and the service reads, the store of versions, and who signed them."""
