// Tests of which archives may be loaded.
#include "server/trusted_archives.h"

#include <cstddef>
#include <fstream>
#include <ios>
#include <memory>
#include <span>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/status.h"

#include "tests/cpp/runtime/fake_pool.h"
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

namespace torchdeploy::server {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Of "abc". Source: FIPS 180-2, appendix B.1.
constexpr const char* kHashOfAbc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// Somebody who signs, with a key of their own.
class Signer {
 public:
  explicit Signer(const char* algorithm)
      : key_(EVP_PKEY_Q_keygen(nullptr, nullptr, algorithm), EVP_PKEY_free) {}

  [[nodiscard]] std::string PublicKey() const {
    const std::unique_ptr<BIO, decltype(&BIO_free)> memory(BIO_new(BIO_s_mem()), BIO_free);
    PEM_write_bio_PUBKEY(memory.get(), key_.get());
    char* text = nullptr;
    const long length = BIO_get_mem_data(memory.get(), &text);
    return {text, static_cast<size_t>(length)};
  }

  [[nodiscard]] std::string Sign(const std::string& text) const {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                          EVP_MD_CTX_free);
    std::string signature(64, '\0');
    size_t length = signature.size();
    EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get());
    EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length,
                   reinterpret_cast<const unsigned char*>(text.data()), text.size());
    return signature;
  }

 private:
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
};

class TrustedArchivesTest : public testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_.File(name), std::ios::binary) << text;
    return folder_.File(name);
  }

  // What is said of an archive that holds `text`, and lies beside its signature, if there is one.
  Status Check(const std::string& hashes, const std::string& keys, const std::string& text,
               const std::string& signature = "") const {
    const Result<TrustedArchives> trusted =
        TrustedArchives::Read(hashes.empty() ? "" : Write("SHA256SUMS", hashes),
                              keys.empty() ? "" : Write("keys.pem", keys));
    EXPECT_TRUE(trusted.ok()) << trusted.status().ToString();
    if (!signature.empty()) {
      Write("model.pt.sig", signature);
    }
    return trusted->Check(folder_.File("model.pt"), BytesOf(text));
  }

  Status WhyNotRead(const std::string& hashes, const std::string& keys) const {
    const Result<TrustedArchives> trusted =
        TrustedArchives::Read(hashes.empty() ? "" : Write("SHA256SUMS", hashes),
                              keys.empty() ? "" : Write("keys.pem", keys));
    EXPECT_FALSE(trusted.ok());
    EXPECT_EQ(trusted.status().code(), Code::kInvalidArgument);
    return trusted.status();
  }

  TemporaryFolder folder_;
  Signer signer_{"ED25519"};
};

TEST_F(TrustedArchivesTest, AnArchiveWhoseHashIsListedIsTrusted) {
  const std::string other = std::string(64, '0') + "  other.pt\n";
  EXPECT_TRUE(Check(other + kHashOfAbc + "  model.pt\n", "", "abc").ok());
  EXPECT_TRUE(Check(std::string(kHashOfAbc) + " *model.pt\r\n\n", "", "abc").ok());
  EXPECT_TRUE(Check(kHashOfAbc, "", "abc").ok());
}

TEST_F(TrustedArchivesTest, AnotherArchiveIsRefusedByItsHash) {
  const Status status = Check(std::string(64, '0') + "  model.pt", "", "abc");
  EXPECT_EQ(status.code(), Code::kPermissionDenied);
  EXPECT_THAT(status.message(), AllOf(HasSubstr(kHashOfAbc), HasSubstr("SHA256SUMS")));
}

TEST_F(TrustedArchivesTest, AnArchiveThatOneOfTheKeysSignedIsTrusted) {
  const Signer other("ED25519");
  const std::string keys = other.PublicKey() + signer_.PublicKey();
  EXPECT_TRUE(Check("", keys, "abc", signer_.Sign("abc")).ok());
  EXPECT_TRUE(Check("", keys, "abc", other.Sign("abc")).ok());
}

TEST_F(TrustedArchivesTest, ASignatureOfSomethingElseOrByAnotherKeyIsRefused) {
  const std::string keys = signer_.PublicKey();
  for (const std::string& signature : {signer_.Sign("abd"), Signer("ED25519").Sign("abc"),
                                       signer_.Sign("abc") + "x", std::string("short")}) {
    const Status status = Check("", keys, "abc", signature);
    EXPECT_EQ(status.code(), Code::kPermissionDenied);
    EXPECT_THAT(status.message(), HasSubstr("model.pt.sig' is not its signature"));
  }
}

TEST_F(TrustedArchivesTest, AnArchiveWithoutASignatureIsRefused) {
  const Status status = Check("", signer_.PublicKey(), "abc");
  EXPECT_EQ(status.code(), Code::kPermissionDenied);
  EXPECT_THAT(status.message(), AllOf(HasSubstr(kHashOfAbc), HasSubstr("there is no signature")));
}

TEST_F(TrustedArchivesTest, EitherIsEnough) {
  const std::string zeros(64, '0');
  EXPECT_TRUE(Check(zeros, signer_.PublicKey(), "abc", signer_.Sign("abc")).ok());
  EXPECT_TRUE(Check(kHashOfAbc, signer_.PublicKey(), "abc", "nonsense").ok());
  EXPECT_THAT(Check(zeros, signer_.PublicKey(), "abc", "nonsense").message(),
              AllOf(HasSubstr("SHA256SUMS"), HasSubstr(".sig")));
}

TEST_F(TrustedArchivesTest, AnEmptyListTrustsNothing) {
  EXPECT_EQ(Check("\n", "", "abc").code(), Code::kPermissionDenied);
}

TEST_F(TrustedArchivesTest, WhatIsNoHashIsRefusedWithItsLine) {
  const std::string good = std::string(kHashOfAbc) + "\n";
  for (const char* bad : {"abc  model.pt", "  model.pt",
                          "BA7816BF8F01CFEA414140DE5DAE2223B00361A3"
                          "96177A9CB410FF61F20015AD"}) {
    EXPECT_THAT(WhyNotRead(good + bad, "").message(),
                AllOf(HasSubstr("line 2"), HasSubstr("SHA256SUMS")));
  }
}

TEST_F(TrustedArchivesTest, WhatIsNoKeyIsRefused) {
  const std::string key = signer_.PublicKey();
  EXPECT_THAT(WhyNotRead("", "no key").message(), HasSubstr("0 public keys"));
  EXPECT_THAT(WhyNotRead("", Signer("X25519").PublicKey()).message(), HasSubstr("not of ed25519"));
  EXPECT_THAT(WhyNotRead("", key + key.substr(0, 60)).message(),
              HasSubstr("1 public keys can be read, and there are 2"));
  EXPECT_EQ(TrustedArchives::Read("", folder_.File("missing")).status().code(),
            Code::kPermissionDenied);
}

}  // namespace
}  // namespace torchdeploy::server
