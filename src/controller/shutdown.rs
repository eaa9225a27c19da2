use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// True once the process shall stop: SIGTERM or an interrupt. A second signal ends it at once.
pub fn on_signal() -> std::io::Result<watch::Receiver<bool>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if !first {
                tracing::warn!("second signal: ending at once");
                std::process::exit(130);
            }
            tracing::info!("stopping");
            sender.send_replace(true);
        }
    });
    Ok(receiver)
}

/// Waits for it.
pub async fn requested(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stop.wait_for(|stop| *stop).await;
}
