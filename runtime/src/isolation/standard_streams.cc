#include "runtime/src/isolation/standard_streams.h"

#include <dlfcn.h>

#include <iostream>
#include <memory>

namespace torchdeploy {
namespace {

// `name` is the mangled one of `of_program`.
template <typename Stream>
void Initialize(void* library, const char* name, Stream& of_program) {
  auto* const of_library = static_cast<Stream*>(dlsym(library, name));
  // A stream that was made begins with the address of its virtual functions.
  if (of_library == nullptr || of_library == &of_program ||
      *reinterpret_cast<void* const*>(of_library) != nullptr) {
    return;
  }
  std::construct_at(of_library, of_program.rdbuf());
  of_library->flags(of_program.flags());
  of_library->tie(of_program.tie());
}

bool InitializeAll() {
  void* const library = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr) {
    return false;  // Whoever brings it in later has its streams alone.
  }
  Initialize(library, "_ZSt3cin", std::cin);
  Initialize(library, "_ZSt4cout", std::cout);
  Initialize(library, "_ZSt4cerr", std::cerr);
  Initialize(library, "_ZSt4clog", std::clog);
  Initialize(library, "_ZSt4wcin", std::wcin);
  Initialize(library, "_ZSt5wcout", std::wcout);
  Initialize(library, "_ZSt5wcerr", std::wcerr);
  Initialize(library, "_ZSt5wclog", std::wclog);
  dlclose(library);
  return true;
}

}  // namespace

void InitializeStandardStreams() {
  [[maybe_unused]] static const bool once = InitializeAll();
}

}  // namespace torchdeploy
