// What a model is told of a sequence.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

#include "server/arguments.h"
#include "server/sequences.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {

// An input of the model that the server fills, with one element.
struct SequenceInput {
  std::string name = {};  // Empty: the model has none.
  std::string datatype = {};
  size_t rank = 0;
};

struct SequenceInputs {
  SequenceInput id;     // INT64 or BYTES.
  SequenceInput start;  // BOOL.
  SequenceInput end;    // BOOL.
};

struct SequenceSettings {
  std::chrono::milliseconds idle{60'000};
  size_t most = 1000;
  SequenceInputs inputs = {};
};

// The same, with what the manifest says of the inputs. kInvalidArgument, naming the key: an input
// that the manifest does not have, or that has another datatype, or more than one element; a model
// that yields.
Result<SequenceSettings> CheckSequences(SequenceSettings settings,
                                        const std::optional<Manifest>& manifest);

// Takes them out of those that clients are to send.
void HideSequenceInputs(const SequenceInputs& inputs, std::optional<Manifest>& manifest);

// kInvalidArgument: an id that is text, for a model that takes numbers. kResourceExhausted when
// there is no memory for them.
Status AddSequenceInputs(const SequenceInputs& inputs, const SequenceStep& step,
                         Arguments& arguments);

}  // namespace torchdeploy::server
