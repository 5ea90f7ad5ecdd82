module lariat.test/metadata_client

go 1.19
