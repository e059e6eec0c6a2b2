#include "tests/fuzz/message_mutator.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>

// libFuzzer's own mutation of bytes, which knows the dictionary.
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace torchdeploy::fuzz {

namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::TextFormat;

constexpr size_t kMostGrowth = 32;  // Of one text, by one change.

// Where sums, products and conversions go wrong.
constexpr std::array kNumbers = {"0",
                                 "1",
                                 "2",
                                 "3",
                                 "4",
                                 "-1",
                                 "127",
                                 "128",
                                 "255",
                                 "256",
                                 "32768",
                                 "65536",
                                 "1048576",
                                 "1048577",
                                 "2147483647",
                                 "-2147483648",
                                 "4294967295",
                                 "4294967296",
                                 "1152921504606846976",
                                 "9223372036854775807",
                                 "-9223372036854775808",
                                 "18446744073709551615",
                                 "nan",
                                 "inf",
                                 "1e300"};

// The message and all those in it.
void Collect(Message& message, std::vector<Message*>& all) {
  all.push_back(&message);
  const auto& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      continue;
    }
    if (!field->is_repeated()) {
      Collect(*reflection.MutableMessage(&message, field), all);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      Collect(*reflection.MutableRepeatedMessage(&message, field, i), all);
    }
  }
}

}  // namespace

size_t MessageMutator::Pick(size_t count) {
  return std::uniform_int_distribution<size_t>(0, count - 1)(random_);
}

void MessageMutator::Mutate(Message& message) {
  std::vector<Message*> all;
  Collect(message, all);
  Message& chosen = *all[Pick(all.size())];
  const auto count = static_cast<size_t>(chosen.GetDescriptor()->field_count());
  if (count > 0) {
    MutateField(chosen, *chosen.GetDescriptor()->field(static_cast<int>(Pick(count))));
  }
}

void MessageMutator::MutateField(Message& message, const Field& field) {
  const auto& reflection = *message.GetReflection();
  if (field.is_repeated()) {
    MutateRepeated(message, field);
  } else if (Pick(8) == 0) {
    reflection.ClearField(&message, &field);
  } else {
    const bool is_text = field.cpp_type() == Field::CPPTYPE_STRING;
    Put(message, field, is_text ? reflection.GetString(message, &field) : "");
  }
}

void MessageMutator::MutateRepeated(Message& message, const Field& field) {
  const auto& reflection = *message.GetReflection();
  const int size = reflection.FieldSize(message, &field);
  const size_t choice = size == 0 ? 0 : Pick(4);
  const int at = size == 0 ? 0 : static_cast<int>(Pick(static_cast<size_t>(size)));
  if (choice == 0) {
    Put(message, field, "");
    return;
  }
  if (choice == 3) {
    const bool is_text = field.cpp_type() == Field::CPPTYPE_STRING;
    Put(message, field, is_text ? reflection.GetRepeatedString(message, &field, at) : "");
  }
  const int last = reflection.FieldSize(message, &field) - 1;
  reflection.SwapElements(&message, &field, at, last);
  if (choice >= 2) {
    reflection.RemoveLast(&message, &field);
  }
}

void MessageMutator::Put(Message& message, const Field& field, const std::string& old) {
  const auto& reflection = *message.GetReflection();
  if (field.cpp_type() == Field::CPPTYPE_MESSAGE) {
    field.is_repeated() ? reflection.AddMessage(&message, &field)
                        : reflection.MutableMessage(&message, &field);
  } else if (field.cpp_type() == Field::CPPTYPE_STRING) {
    const std::string text = Mutated(old, field.type() == Field::TYPE_STRING);
    field.is_repeated() ? reflection.AddString(&message, &field, text)
                        : reflection.SetString(&message, &field, text);
  } else {
    // Reads a number of any type; one that does not fit changes nothing.
    TextFormat::ParseFieldValueFromString(NumberText(), &field, &message);
  }
}

std::string MessageMutator::NumberText() {
  return Pick(2) == 0 ? std::to_string(Pick(5)) : kNumbers[Pick(kNumbers.size())];
}

std::string MessageMutator::Mutated(std::string text, bool is_utf8) {
  const size_t old_size = text.size();
  text.resize(old_size + kMostGrowth);
  text.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(text.data()), old_size, text.size()));
  if (is_utf8 && Pick(16) != 0) {  // Else the message is refused before it comes to us.
    std::ranges::for_each(text, [](char& byte) { byte = static_cast<char>(byte & 0x7F); });
  }
  return text;
}

}  // namespace torchdeploy::fuzz
