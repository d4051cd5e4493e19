// The HDF5 library, for the files of this room alone.
#pragma once

#include <hdf5.h>

#include <string>
#include <utility>

namespace ae::data::hdf5 {

// To be called before anything else of it: what fails is told by us, and the end of the program closes nothing, since a
// file whose disk is full would be tried again and again.
void begin();

// An open object of the library, closed at the end.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle(hid_t id, Close close) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&&) = delete;
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  hid_t get() const { return id_; }
  void abandon() { id_ = -1; }                                             // open until the program ends
  bool close() { return id_ < 0 || close_(std::exchange(id_, -1)) >= 0; }  // now; false when that failed
  explicit operator bool() const { return id_ >= 0; }

 private:
  hid_t id_;
  Close close_;
};

// The innermost cause of what failed last, as one line; of what the system refused that alone.
std::string last_cause();

}  // namespace ae::data::hdf5
