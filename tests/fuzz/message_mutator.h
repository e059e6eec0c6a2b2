// Changes a protobuf message field by field, as its type allows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

#include <google/protobuf/message.h>

namespace torchdeploy::fuzz {

// Bytes changed blindly are rarely a message again: each length on the way would have to change
// with them.
class MessageMutator {
 public:
  explicit MessageMutator(uint32_t seed) : random_(seed) {}

  // One change to one field of it or of a message in it: set, cleared, added, taken away, moved.
  void Mutate(google::protobuf::Message& message);

  // A number below `count`. REQUIRES: count > 0.
  size_t Pick(size_t count);

 private:
  using Field = google::protobuf::FieldDescriptor;

  void MutateField(google::protobuf::Message& message, const Field& field);
  void MutateRepeated(google::protobuf::Message& message, const Field& field);
  // Sets the field, or appends to a repeated one; `old` is what was there.
  void Put(google::protobuf::Message& message, const Field& field, const std::string& old);
  std::string NumberText();
  std::string Mutated(std::string text, bool is_utf8);

  std::minstd_rand random_;
};

}  // namespace torchdeploy::fuzz
