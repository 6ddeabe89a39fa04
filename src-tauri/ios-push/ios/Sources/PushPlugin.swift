import ObjectiveC
import Tauri
import UIKit
import UserNotifications

struct Listen: Decodable {
  let handler: Channel
}

/// What somebody pressed: what Apple brought (`server`, `page`), or what the app showed itself (`name`, `action`).
struct Press: Encodable {
  var server: String?
  var page: String?
  var name: String?
  var action: String?
}

/// What the program asks about Apple's push service, and hears of presses on every notification of the app.
class PushPlugin: Plugin, UNUserNotificationCenterDelegate {
  /// Where the test leads to, which is shown also while the app is in front.
  static let settings = "/settings/notifications"

  /// Who waits for Apple's answer.
  private var waiting: [Invoke] = []
  private var presses: Channel?
  /// Before anybody listened: what started the app.
  private var early: [Press] = []
  /// Whoever shows the app's own notifications while it is in front.
  private let own = UNUserNotificationCenter.current().delegate
  private var hears = false

  override init() {
    super.init()
    UNUserNotificationCenter.current().delegate = self
  }

  /// Answers once Apple did, with this app's token on this device.
  @objc public func register(_ invoke: Invoke) {
    DispatchQueue.main.async {
      self.hear()
      self.waiting.append(invoke)
      UIApplication.shared.registerForRemoteNotifications()
    }
  }

  @objc public func unregister(_ invoke: Invoke) {
    DispatchQueue.main.async {
      UIApplication.shared.unregisterForRemoteNotifications()
      invoke.resolve()
    }
  }

  /// From now on presses are told, the one that started the app included.
  @objc public func listen(_ invoke: Invoke) throws {
    let asked = try invoke.parseArgs(Listen.self)
    // At once: the thread that everything else waits for waits for this.
    invoke.resolve()
    DispatchQueue.main.async {
      self.presses = asked.handler
      let early = self.early
      self.early = []
      early.forEach(self.pressed)
    }
  }

  /// Apple answers the application's delegate, which Tauri makes without these two.
  private func hear() {
    guard !hears, let delegate = UIApplication.shared.delegate else { return }
    hears = true
    let given: @convention(block) (AnyObject, UIApplication, NSData) -> Void = { [weak self] _, _, token in
      let hex = (token as Data).map { String(format: "%02x", $0) }.joined()
      self?.answer { $0.resolve(["token": hex]) }
    }
    let refused: @convention(block) (AnyObject, UIApplication, NSError) -> Void = { [weak self] _, _, error in
      self?.answer { $0.reject(error.localizedDescription) }
    }
    add(given, as: "application:didRegisterForRemoteNotificationsWithDeviceToken:", to: delegate)
    add(refused, as: "application:didFailToRegisterForRemoteNotificationsWithError:", to: delegate)
  }

  private func add(_ block: Any, as name: String, to delegate: UIApplicationDelegate) {
    class_addMethod(object_getClass(delegate), NSSelectorFromString(name), imp_implementationWithBlock(block), "v@:@@")
  }

  private func answer(_ tell: (Invoke) -> Void) {
    let asked = waiting
    waiting = []
    asked.forEach(tell)
  }

  private func pressed(_ press: Press) {
    guard let presses = presses else { return early.append(press) }
    try? presses.send(press)
  }

  /// In front, the app tells itself what is new.
  func userNotificationCenter(
    _ center: UNUserNotificationCenter,
    willPresent notification: UNNotification,
    withCompletionHandler shown: @escaping (UNNotificationPresentationOptions) -> Void
  ) {
    let request = notification.request
    if request.trigger is UNPushNotificationTrigger {
      let isTest = request.content.userInfo["page"] as? String == PushPlugin.settings
      shown(isTest ? [.alert, .sound] : [])
    } else if own?.userNotificationCenter?(center, willPresent: notification, withCompletionHandler: shown) == nil {
      shown([.alert, .sound])
    }
  }

  func userNotificationCenter(
    _ center: UNUserNotificationCenter,
    didReceive response: UNNotificationResponse,
    withCompletionHandler done: @escaping () -> Void
  ) {
    let said = response.notification.request.content.userInfo
    if response.notification.request.trigger is UNPushNotificationTrigger {
      pressed(Press(server: said["mark"] as? String, page: said["page"] as? String))
    } else {
      // The plugin that showed it keeps a name there, and does not give it back with a press.
      let extra = said["__EXTRA__"] as? [String: Any]
      pressed(Press(name: extra?["name"] as? String, action: action(response.actionIdentifier)))
    }
    done()
  }

  /// As that plugin calls it.
  private func action(_ id: String) -> String {
    switch id {
    case UNNotificationDefaultActionIdentifier: return "tap"
    case UNNotificationDismissActionIdentifier: return "dismiss"
    default: return id
    }
  }
}

@_cdecl("init_plugin_foreman_push")
func initPlugin() -> Plugin {
  return PushPlugin()
}
