// The cells of one column of a training table, in file order: in memory, or in a scratch file for tables larger than
// memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/files.hpp"

namespace ae::data {

// Where the columns of one table keep their cells. All of them in pieces of equally many.
struct CellRoom {
  ScratchFile* scratch = nullptr;  // null: in memory
  std::size_t piece = 1 << 16;     // cells

  // In a file, as many cells a piece as the pieces of all columns may take of memory.
  static CellRoom on_disk(ScratchFile& scratch, std::size_t columns) {
    constexpr std::size_t kBytes = std::size_t{16} << 20;
    return {&scratch,
            std::clamp<std::size_t>(kBytes / (sizeof(double) * std::max<std::size_t>(columns, 1)), 64, 1 << 16)};
  }
};

template <typename T>
class ColumnCells {
 public:
  explicit ColumnCells(CellRoom room) : room_(room) {}

  void push_back(T cell) {
    if (open_.size() == room_.piece) close();
    open_.push_back(cell);
  }
  std::size_t size() const { return closed() * room_.piece + open_.size(); }
  std::size_t piece_begin(std::size_t piece) const { return piece * room_.piece; }

  // Piece `piece`, read into `buffer` when it is not in memory.
  std::span<const T> piece(std::size_t piece, std::vector<T>& buffer) const {
    if (piece == closed()) return open_;
    if (room_.scratch == nullptr) return in_memory_[piece];
    buffer.resize(room_.piece);
    room_.scratch->read(on_disk_[piece], buffer.data(), room_.piece * sizeof(T));
    return buffer;
  }
  // What has been used for the last time makes room.
  void release(std::size_t piece) {
    if (piece < in_memory_.size()) in_memory_[piece] = {};
  }

  // Calls visit(index, cell) for all cells, in order.
  template <typename Visit>
  void for_each(Visit&& visit) const {
    std::vector<T> buffer;
    for (std::size_t p = 0; p <= closed(); ++p) {
      std::size_t index = piece_begin(p);
      for (const T cell : piece(p, buffer)) visit(index++, cell);
    }
  }

 private:
  std::size_t closed() const { return room_.scratch == nullptr ? in_memory_.size() : on_disk_.size(); }
  void close() {
    if (room_.scratch == nullptr) {
      in_memory_.push_back(std::move(open_));
      open_ = {};
    } else {
      on_disk_.push_back(room_.scratch->append(open_.data(), open_.size() * sizeof(T)));
      open_.clear();
    }
  }

  CellRoom room_;
  std::vector<T> open_;  // the last piece
  std::vector<std::vector<T>> in_memory_;
  std::vector<std::uint64_t> on_disk_;  // where in the scratch file
};

}  // namespace ae::data
