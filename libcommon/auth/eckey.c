// SPDX-License-Identifier: Apache-2.0
#include "libcommon/auth/eckey.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "libcommon/auth/digest.h"
#include "libcommon/core/err.h"

static void free_key(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void free_bio(BIO **bio)
{
    BIO_free(*bio);
}

static void free_der(unsigned char **der)
{
    OPENSSL_free(*der);
}

// Copies what was written to a memory BIO, as a string.
static int bio_text(BIO *bio, char ret_pem[REEL_ECKEY_PEM_SIZE])
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);

    if (len <= 0 || len >= REEL_ECKEY_PEM_SIZE)
        return -EMSGSIZE;
    memcpy(ret_pem, data, (size_t)len);
    ret_pem[len] = '\0';
    return REEL_OK;
}

static bool is_p256(const EVP_PKEY *key)
{
    char group[32] = "";

    return key && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
           EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

int reel_eckey_generate(char ret_private_pem[REEL_ECKEY_PEM_SIZE])
{
    REEL_AUTO(free_key) EVP_PKEY *key = EVP_EC_gen("P-256");
    REEL_AUTO(free_bio) BIO *bio = BIO_new(BIO_s_secmem());

    if (!key || !bio || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL))
        return -ENOMEM;
    return bio_text(bio, ret_private_pem);
}

// OpenSSL would ask the terminal for a passphrase.
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

int reel_eckey_public(const char *private_pem, char ret_public_pem[REEL_ECKEY_PEM_SIZE],
                      char ret_id[REEL_ECKEY_ID_SIZE])
{
    REEL_AUTO(free_bio) BIO *in = BIO_new_mem_buf(private_pem, -1);
    REEL_AUTO(free_bio) BIO *out = BIO_new(BIO_s_mem());
    REEL_AUTO(free_der) unsigned char *der = NULL;
    char hex[REEL_DIGEST_HEX_SIZE];

    if (!in || !out)
        return -ENOMEM;
    REEL_AUTO(free_key) EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL);
    if (!is_p256(key))
        return REEL_INVALID_ARGUMENT;

    int len = i2d_PUBKEY(key, &der);
    if (len <= 0 || !PEM_write_bio_PUBKEY(out, key))
        return -ENOMEM;
    reel_digest_sha256_hex(der, (size_t)len, hex);
    memcpy(ret_id, hex, REEL_ECKEY_ID_SIZE - 1);
    ret_id[REEL_ECKEY_ID_SIZE - 1] = '\0';
    return bio_text(out, ret_public_pem);
}

bool reel_eckey_is_public(const char *pem)
{
    REEL_AUTO(free_bio) BIO *in = BIO_new_mem_buf(pem, -1);

    if (!in)
        return false;
    REEL_AUTO(free_key) EVP_PKEY *key = PEM_read_bio_PUBKEY(in, NULL, no_passphrase, NULL);
    return is_p256(key);
}
