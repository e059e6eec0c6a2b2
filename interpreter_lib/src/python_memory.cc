#include "interpreter_lib/src/python_memory.h"

#include <Python.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace torchdeploy {

namespace {

// Of this library's interpreter. Below zero when more is freed of what was taken before the
// counting than has been taken since.
std::atomic<int64_t> held_bytes = 0;

// The allocators below, which are libpython's own and outlive the process's last call.
PyMemAllocatorEx large_blocks;
PyObjectArenaAllocator arenas;

void Count(int64_t bytes) {
  held_bytes.fetch_add(bytes, std::memory_order_relaxed);
}

int64_t SizeOf(void* block) {
  return static_cast<int64_t>(malloc_usable_size(block));
}

void* Counted(void* block) {
  Count(SizeOf(block));
  return block;
}

void* TakeBlock(void* context, size_t size) {
  return Counted(large_blocks.malloc(context, size));
}

void* TakeZeroedBlock(void* context, size_t count, size_t size) {
  return Counted(large_blocks.calloc(context, count, size));
}

void* ResizeBlock(void* context, void* block, size_t size) {
  const int64_t before = SizeOf(block);
  void* const resized = large_blocks.realloc(context, block, size);
  if (resized != nullptr) {
    Count(SizeOf(resized) - before);
  }
  return resized;
}

void FreeBlock(void* context, void* block) {
  Count(-SizeOf(block));
  large_blocks.free(context, block);
}

void* TakeArena(void* context, size_t size) {
  void* const arena = arenas.alloc(context, size);
  if (arena != nullptr) {
    Count(static_cast<int64_t>(size));
  }
  return arena;
}

void FreeArena(void* context, void* arena, size_t size) {
  Count(-static_cast<int64_t>(size));
  arenas.free(context, arena, size);
}

}  // namespace

void CountPythonMemory() {
  PyMem_GetAllocator(PYMEM_DOMAIN_RAW, &large_blocks);
  PyMemAllocatorEx counting_blocks = {large_blocks.ctx, &TakeBlock, &TakeZeroedBlock, &ResizeBlock,
                                      &FreeBlock};
  PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &counting_blocks);
  PyObject_GetArenaAllocator(&arenas);
  PyObjectArenaAllocator counting_arenas = {arenas.ctx, &TakeArena, &FreeArena};
  PyObject_SetArenaAllocator(&counting_arenas);
}

uint64_t PythonBytes() {
  return static_cast<uint64_t>(std::max<int64_t>(held_bytes.load(std::memory_order_relaxed), 0));
}

}  // namespace torchdeploy
