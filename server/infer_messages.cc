#include "server/infer_messages.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include "open_inference_grpc.pb.h"
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/repeated_ptr_field.h>

namespace torchdeploy::server {

namespace {

using google::protobuf::RepeatedPtrField;
using google::protobuf::io::CodedOutputStream;
using inference::ModelInferRequest;
using inference::ModelInferResponse;
using inference::ModelStreamInferResponse;

// Smaller contents cost less when they are copied.
constexpr size_t kLeastShared = size_t{16} << 10;

constexpr uint32_t kLengthDelimited = 2;  // A field's kind, in protobuf's encoding.
constexpr size_t kMostVarintBytes = 5;

void AppendVarint(uint32_t number, std::string& text) {
  std::array<uint8_t, kMostVarintBytes> bytes{};
  const uint8_t* const end = CodedOutputStream::WriteVarint32ToArray(number, bytes.data());
  text.append(bytes.begin(), bytes.begin() + (end - bytes.data()));
}

// What stands before the contents of a field.
void AppendFieldHead(int field, size_t size_bytes, std::string& text) {
  AppendVarint(static_cast<uint32_t>(field) << 3U | kLengthDelimited, text);
  AppendVarint(static_cast<uint32_t>(size_bytes), text);
}

// The message but its contents, which stay in it.
std::string WithoutContents(ModelInferResponse& response) {
  RepeatedPtrField<std::string> contents;
  contents.Swap(response.mutable_raw_output_contents());
  std::string text = response.SerializeAsString();
  contents.Swap(response.mutable_raw_output_contents());
  return text;
}

// Pieces of a message in their order: text, and memory of `owner`.
class Pieces {
 public:
  explicit Pieces(std::shared_ptr<const void> owner) : owner_(std::move(owner)) {}

  void Add(const std::string& text) { text_ += text; }

  // `contents` is the owner's.
  void AddContents(const std::string& contents) {
    AppendFieldHead(ModelInferResponse::kRawOutputContentsFieldNumber, contents.size(), text_);
    if (contents.size() < kLeastShared) {
      text_ += contents;
      return;
    }
    EndText();
    auto owner = std::make_unique<std::shared_ptr<const void>>(owner_);
    // gRPC only reads them.
    slices_.emplace_back(const_cast<char*>(contents.data()), contents.size(), &Drop,
                         owner.release());
  }

  grpc::ByteBuffer Take() {
    EndText();
    return {slices_.data(), slices_.size()};
  }

 private:
  static void Drop(void* owner) {
    const std::unique_ptr<std::shared_ptr<const void>> owned(
        static_cast<std::shared_ptr<const void>*>(owner));
  }

  void EndText() {
    if (!text_.empty()) {
      slices_.emplace_back(std::exchange(text_, {}));
    }
  }

  const std::shared_ptr<const void> owner_;
  std::string text_;  // Of the next slice.
  std::vector<grpc::Slice> slices_;
};

}  // namespace

std::shared_ptr<const ModelInferRequest> ReadRequest(grpc::ByteBuffer& bytes) {
  auto request = std::make_shared<ModelInferRequest>();
  bool is_read = false;
  {
    grpc::ProtoBufferReader reader(&bytes);
    is_read = reader.status().ok() && request->ParseFromZeroCopyStream(&reader);
  }
  bytes.Clear();
  return is_read ? std::move(request) : nullptr;
}

grpc::Status UnreadableRequest() {
  return {grpc::StatusCode::INVALID_ARGUMENT, "the message is no ModelInferRequest"};
}

grpc::ByteBuffer BytesOf(const std::shared_ptr<ModelInferResponse>& response) {
  Pieces pieces(response);
  pieces.Add(WithoutContents(*response));
  for (const std::string& contents : response->raw_output_contents()) {
    pieces.AddContents(contents);
  }
  return pieces.Take();
}

grpc::ByteBuffer BytesOf(const std::shared_ptr<ModelStreamInferResponse>& response) {
  std::string head;
  if (!response->error_message().empty()) {
    const std::string& message = response->error_message();
    AppendFieldHead(ModelStreamInferResponse::kErrorMessageFieldNumber, message.size(), head);
    head += message;
  }
  ModelInferResponse& inner = *response->mutable_infer_response();
  AppendFieldHead(ModelStreamInferResponse::kInferResponseFieldNumber, inner.ByteSizeLong(), head);
  Pieces pieces(response);
  pieces.Add(head + WithoutContents(inner));
  for (const std::string& contents : inner.raw_output_contents()) {
    pieces.AddContents(contents);
  }
  return pieces.Take();
}

}  // namespace torchdeploy::server
