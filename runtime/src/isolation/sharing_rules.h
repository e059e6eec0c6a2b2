// Which libraries all interpreters share, and which exist once only.
#pragma once

#include <string>

namespace torchdeploy {

// Whether interpreters and host may use one copy of the library: a short list of those that
// are known to be thread-safe and to hold no state of Python or torch. Everything else is
// private: h5py's libhdf5, shared by two interpreters, crashed them each time.
bool IsShared(const std::string& path);

// The part of a library's file name that tells what it is: "libtorch_cpu" of
// "/x/libtorch_cpu.so", "libpython3.11" of "libpython3.11.so.1.0".
std::string LibraryStem(const std::string& path);

// Whether a second library of this stem in one interpreter would bring a second Python or a
// second torch to life there.
bool IsSingleton(const std::string& stem);

}  // namespace torchdeploy
