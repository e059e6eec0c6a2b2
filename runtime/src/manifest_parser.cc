#include "runtime/src/manifest_parser.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"

#include <nlohmann/json.hpp>
#include <nlohmann/json_fwd.hpp>

namespace torchdeploy {

namespace {

using Json = nlohmann::json;

constexpr int kFormat = 1;
constexpr int kMaxDepth = 64;
constexpr size_t kMaxQuotedBytes = 80;
constexpr size_t kMaxParserMessageBytes = 200;  // It quotes what it read.

constexpr std::array<std::string_view, 14> kDatatypes = {
    "BOOL",  "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16",
    "INT32", "INT64", "FP16",   "BF16",   "FP32",   "FP64", "BYTES"};

// Thrown and caught in this file only.
class InvalidManifest : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Cuts between characters of UTF-8.
std::string Shortened(std::string text, size_t most_bytes) {
  if (text.size() > most_bytes) {
    size_t end = most_bytes;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
      --end;
    }
    text.resize(end);
    text += "...";
  }
  return text;
}

[[noreturn]] void Refuse(const std::string& key, const Json& value, const std::string& expected) {
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  throw InvalidManifest(Shortened(key, kMaxQuotedBytes) + " is " +
                        Shortened(text, kMaxQuotedBytes) + "; expected " + expected + ".");
}

const Json& Member(const Json& object, const std::string& key, const std::string& where = "") {
  const auto found = object.find(key);
  if (found == object.end()) {
    throw InvalidManifest("the key '" + where + key + "' is missing.");
  }
  return *found;
}

void CheckObject(const std::string& key, const Json& value) {
  if (!value.is_object()) {
    Refuse(key, value, "an object");
  }
}

void CheckList(const std::string& key, const Json& value) {
  if (!value.is_array()) {
    Refuse(key, value, "a list");
  }
}

std::string Text(const std::string& key, const Json& value) {
  if (!value.is_string()) {
    Refuse(key, value, "a string");
  }
  return value.get<std::string>();
}

bool Flag(const std::string& key, const Json& value) {
  if (!value.is_boolean()) {
    Refuse(key, value, "true or false");
  }
  return value.get<bool>();
}

int64_t Integer(const std::string& key, const Json& value, int64_t least,
                const std::string& expected) {
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() ||
                     value.get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()});
  if (!fits || value.get<int64_t>() < least) {
    Refuse(key, value, expected);
  }
  return value.get<int64_t>();
}

bool IsNameCharacter(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-';
}

std::string Name(const std::string& key, const Json& value) {
  std::string name = Text(key, value);
  if (name.empty() || name[0] == '.' || name[0] == '-' ||
      !std::all_of(name.begin(), name.end(), IsNameCharacter)) {
    Refuse(key, value, "a name of the form [A-Za-z0-9_][A-Za-z0-9_.-]*");
  }
  return name;
}

std::string Datatype(const std::string& key, const Json& value) {
  std::string datatype = Text(key, value);
  const bool known = datatype.empty() ||
                     std::find(kDatatypes.begin(), kDatatypes.end(), datatype) != kDatatypes.end();
  if (!known) {
    Refuse(key, value, "a datatype of the Open Inference Protocol, such as \"FP32\", or \"\"");
  }
  return datatype;
}

std::optional<std::vector<int64_t>> Shape(const std::string& key, const Json& value) {
  if (value.is_null()) {
    return std::nullopt;
  }
  if (!value.is_array()) {
    Refuse(key, value, "a list of extents, or null");
  }
  std::vector<int64_t> shape;
  for (const Json& extent : value) {
    shape.push_back(Integer(key + "[" + std::to_string(shape.size()) + "]", extent, -1,
                            "an extent from 0 on, or -1 for a free one"));
  }
  return shape;
}

std::vector<TensorSpec> Specs(const std::string& key, const Json& value) {
  std::vector<TensorSpec> specs;
  std::set<std::string> names;
  CheckList(key, value);
  for (const Json& item : value) {
    const std::string where = key + "[" + std::to_string(specs.size()) + "]";
    CheckObject(where, item);
    const std::string prefix = where + ".";
    const Json& name = Member(item, "name", prefix);
    TensorSpec spec;
    spec.name = Text(prefix + "name", name);
    if (spec.name.empty() || !names.insert(spec.name).second) {
      Refuse(prefix + "name", name, "a name that is not empty and not used before");
    }
    spec.datatype = Datatype(prefix + "datatype", Member(item, "datatype", prefix));
    spec.shape = Shape(prefix + "shape", item.value("shape", Json()));
    specs.push_back(std::move(spec));
  }
  return specs;
}

void CheckHasDimension(const std::vector<TensorSpec>& specs, int64_t dimension) {
  for (const TensorSpec& spec : specs) {
    if (spec.shape.has_value() && static_cast<uint64_t>(dimension) >= spec.shape->size()) {
      Refuse("batch_dimension", dimension,
             "one that '" + Shortened(spec.name, kMaxQuotedBytes) + "' has, which has " +
                 std::to_string(spec.shape->size()) + " dimensions");
    }
  }
}

std::optional<int64_t> BatchDimension(const Json& value, const Manifest& manifest) {
  if (value.is_null()) {
    return std::nullopt;
  }
  const int64_t dimension = Integer("batch_dimension", value, 0, "a dimension from 0 on, or null");
  CheckHasDimension(manifest.inputs, dimension);
  CheckHasDimension(manifest.outputs, dimension);
  return dimension;
}

PickleName Pickle(const std::string& key, const Json& value) {
  CheckObject(key, value);
  const std::string prefix = key + ".";
  return {Text(prefix + "package", Member(value, "package", prefix)),
          Text(prefix + "resource", Member(value, "resource", prefix))};
}

bool IsMethodName(const std::string& name) {
  constexpr size_t kLongest = 256;
  const auto is_allowed = [](char c) { return IsNameCharacter(c) && c != '.' && c != '-'; };
  return !name.empty() && name.size() <= kLongest && (name[0] < '0' || name[0] > '9') &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

std::map<std::string, MethodSpec> Methods(const Json& value) {
  CheckObject("methods", value);
  std::map<std::string, MethodSpec> methods;
  for (const auto& [name, method] : value.items()) {
    if (!IsMethodName(name)) {
      Refuse("a name in methods", Json(name), "one of the form [A-Za-z_][A-Za-z0-9_]*");
    }
    const std::string where = "methods." + name;
    CheckObject(where, method);
    const std::string prefix = where + ".";
    methods[name] = {Specs(prefix + "inputs", Member(method, "inputs", prefix)),
                     Specs(prefix + "outputs", Member(method, "outputs", prefix))};
  }
  return methods;
}

std::map<std::string, std::string> Distributions(const Json& value) {
  CheckObject("distributions", value);
  std::map<std::string, std::string> distributions;
  for (const auto& [name, version] : value.items()) {
    distributions[name] = Text("distributions." + name, version);
  }
  return distributions;
}

// The document, with bounded depth.
Json Parse(std::string_view text) {
  const Json::parser_callback_t check_depth = [](int depth, Json::parse_event_t, const Json&) {
    if (depth > kMaxDepth) {
      throw InvalidManifest("its JSON is nested deeper than " + std::to_string(kMaxDepth) +
                            " levels.");
    }
    return true;
  };
  try {
    return Json::parse(text, check_depth);
  } catch (const Json::exception& error) {
    throw InvalidManifest("it is not JSON: " + Shortened(error.what(), kMaxParserMessageBytes) +
                          ".");
  }
}

Manifest FromDocument(const Json& document) {
  CheckObject("the document", document);
  const Json& format = Member(document, "format");
  if (!format.is_number_integer() || format != kFormat) {
    Refuse("format", format, std::to_string(kFormat) + ", the only one that this version reads");
  }
  Manifest manifest;
  manifest.name = Name("name", Member(document, "name"));
  manifest.version = Name("version", Member(document, "version"));
  manifest.entry = Pickle("entry", Member(document, "entry"));
  if (const Json example = document.value("example", Json()); !example.is_null()) {
    manifest.example = Pickle("example", example);
  }
  manifest.inputs = Specs("inputs", Member(document, "inputs"));
  manifest.outputs = Specs("outputs", Member(document, "outputs"));
  manifest.yields = Flag("yields", document.value("yields", Json(false)));
  manifest.methods = Methods(document.value("methods", Json::object()));
  manifest.batch_dimension = BatchDimension(document.value("batch_dimension", Json()), manifest);
  manifest.python_version = Text("python", Member(document, "python"));
  manifest.torch_version = Text("torch", Member(document, "torch"));
  manifest.distributions = Distributions(Member(document, "distributions"));
  return manifest;
}

}  // namespace

Result<Manifest> ParseManifest(std::string_view json) {
  try {
    Manifest manifest = FromDocument(Parse(json));
    manifest.json = json;
    return manifest;
  } catch (const InvalidManifest& invalid) {
    return Status(Code::kInvalidArgument, invalid.what());
  }
}

}  // namespace torchdeploy
