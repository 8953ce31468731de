#include "engine/profile.h"

#include <utility>

#include "engine/engine.h"

namespace engine {

namespace {

class GoneEvent final : public session::Event {
 public:
  GoneEvent(std::weak_ptr<Engine> engine, uint64_t profile) : engine_(std::move(engine)), profile_(profile) {}
  void deliver(binding::Environment& env) override {
    if (const auto engine = engine_.lock()) engine->tell(env, Told::kProfileGone, profile_, nullptr);
  }
  bool waits_for_loop() const override { return true; }

 private:
  const std::weak_ptr<Engine> engine_;
  const uint64_t profile_;
};

ossl::SslCtxPointer counted(SSL_CTX* ctx) {
  SSL_CTX_up_ref(ctx);
  return ossl::SslCtxPointer(ctx);
}

}  // namespace

Profile::Profile(std::weak_ptr<Engine> engine, uint64_t id, uint64_t listener, SSL_CTX* ctx,
                 const ConnectionSettings& settings)
    : id(id),
      listener(listener),
      settings(settings),
      engine_(std::move(engine)),
      mailbox_(session::Context::of(ctx)->mailbox),
      ctx_(counted(ctx)),
      use_(ctx) {}

Profile::~Profile() {
  if (listener != 0) mailbox_->push(std::make_unique<GoneEvent>(engine_, id));
}

}  // namespace engine
