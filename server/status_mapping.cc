#include "server/status_mapping.h"

#include <cstddef>
#include <string>

#include <grpcpp/grpcpp.h>

#include "torchdeploy/status.h"

namespace torchdeploy::server {

namespace {

// A message is sent percent-encoded and a traceback in base64: both grow.
constexpr size_t kMostMessageBytes = 1024;
constexpr size_t kMostTracebackBytes = 3072;
constexpr size_t kMostTypeBytes = 128;

bool IsInsideCharacter(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

// Cuts behind a whole UTF-8 character.
std::string CutEnd(const std::string& text, size_t most) {
  if (text.size() <= most) {
    return text;
  }
  while (most > 0 && IsInsideCharacter(text[most])) {
    --most;
  }
  return text.substr(0, most) + "...";
}

// The end of a traceback is where it was raised.
std::string CutStart(const std::string& text, size_t most) {
  if (text.size() <= most) {
    return text;
  }
  size_t start = text.size() - most;
  while (start < text.size() && IsInsideCharacter(text[start])) {
    ++start;
  }
  return "..." + text.substr(start);
}

// Metadata is printable ASCII, and gRPC ends the process that sends other bytes; a Python
// class may have any letters in its name.
std::string PercentEncoded(const std::string& text) {
  constexpr const char* kDigits = "0123456789ABCDEF";
  std::string encoded;
  for (const char letter : text) {
    if (letter > ' ' && letter <= '~' && letter != '%') {
      encoded.push_back(letter);
    } else {
      const auto byte = static_cast<unsigned char>(letter);
      encoded.append({'%', kDigits[byte >> 4], kDigits[byte & 0xF]});
    }
  }
  return encoded;
}

}  // namespace

std::string TextOf(const Status& status) {
  std::string text = status.type();
  if (!text.empty()) {
    text += ": ";
  }
  text += status.message();
  return CutEnd(text, kMostMessageBytes);
}

grpc::Status ToGrpcStatus(const Status& status, grpc::CallbackServerContext* context) {
  if (status.ok()) {
    return grpc::Status::OK;
  }
  if (!status.type().empty()) {
    context->AddTrailingMetadata(kErrorTypeKey,
                                 PercentEncoded(CutEnd(status.type(), kMostTypeBytes)));
    context->AddTrailingMetadata(kTracebackKey, CutStart(status.traceback(), kMostTracebackBytes));
  }
  return {static_cast<grpc::StatusCode>(status.code()), TextOf(status)};
}

}  // namespace torchdeploy::server
