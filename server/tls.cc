#include "server/tls.h"

#include <memory>
#include <string>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "server/text_file.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

namespace {

Status CheckTogether(const TlsOptions& options) {
  if (options.certificate.empty() != options.key.empty()) {
    return {Code::kInvalidArgument, options.key.empty()
                                        ? "a TLS certificate is given without its key"
                                        : "a TLS key is given without its certificate"};
  }
  if (options.certificate.empty() && !options.client_ca.empty()) {
    return {Code::kInvalidArgument,
            "clients' certificates are asked for without a TLS certificate of the server"};
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(const TlsOptions& options) {
  if (Status status = CheckTogether(options); !status.ok()) {
    return status;
  }
  if (options.certificate.empty()) {
    return grpc::InsecureServerCredentials();
  }
  Result<std::string> key = ReadTextFile(options.key);
  Result<std::string> certificate = ReadTextFile(options.certificate);
  Result<std::string> client_ca =
      options.client_ca.empty() ? std::string() : ReadTextFile(options.client_ca);
  for (const auto* text : {&key, &certificate, &client_ca}) {
    if (!text->ok()) {
      return text->status();
    }
  }
  grpc::SslServerCredentialsOptions ssl(
      options.client_ca.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  ssl.pem_key_cert_pairs.push_back({*std::move(key), *std::move(certificate)});
  ssl.pem_root_certs = *std::move(client_ca);
  return grpc::SslServerCredentials(ssl);
}

}  // namespace torchdeploy::server
