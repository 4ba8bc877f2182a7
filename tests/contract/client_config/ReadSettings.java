import java.io.FileReader;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.config.types.Password;
import org.apache.kafka.common.security.JaasContext;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Reads client.properties and kafka-rest.properties as Kafka's admin client, producer and consumer do; prints what they
 * make of them, and the names that none of them knows. The callback handler's class is not here, so it is left out. */
public class ReadSettings {
    public static void main(String[] arguments) throws Exception {
        Map<String, Object> client = read(arguments[0], "");
        client.put("bootstrap.servers", "127.0.0.1:1");
        show("admin", new AdminClientConfig(client), client);
        for (String part : new String[] {"producer", "consumer"}) {
            Map<String, Object> settings = new HashMap<>(read(arguments[1], "client."));
            settings.putAll(read(arguments[1], part + "."));
            settings.put("bootstrap.servers", read(arguments[1], "").get("bootstrap.servers"));
            // The consumer's own instance settings are the REST proxy's, and not Kafka's.
            settings.remove("instance.timeout.ms");
            if (part.equals("producer")) {
                settings.put("key.serializer", ByteArraySerializer.class);
                settings.put("value.serializer", ByteArraySerializer.class);
                show(part, new ProducerConfig(settings), settings);
            } else {
                settings.put("key.deserializer", ByteArrayDeserializer.class);
                settings.put("value.deserializer", ByteArrayDeserializer.class);
                show(part, new ConsumerConfig(settings), settings);
            }
        }
    }

    static Map<String, Object> read(String file, String prefix) throws Exception {
        Properties properties = new Properties();
        try (FileReader reader = new FileReader(file)) {
            properties.load(reader);
        }
        Map<String, Object> found = new HashMap<>();
        for (String name : properties.stringPropertyNames()) {
            if (name.startsWith(prefix) && !name.endsWith("callback.handler.class")) {
                found.put(name.substring(prefix.length()), properties.getProperty(name));
            }
        }
        return found;
    }

    static void show(String part, org.apache.kafka.common.config.AbstractConfig config, Map<String, Object> given) {
        Map<String, Object> values = new HashMap<>(config.values());
        System.out.print(part + " " + values.get("security.protocol") + " " + values.get("sasl.mechanism"));
        Object jaas = values.get("sasl.jaas.config");
        if (jaas != null) {
            for (AppConfigurationEntry entry : JaasContext.loadClientContext(Map.of("sasl.jaas.config", (Password) jaas))
                    .configurationEntries()) {
                System.out.print(" " + entry.getLoginModuleName() + " " + entry.getOptions());
            }
        }
        given.keySet().removeAll(values.keySet());
        System.out.println(" unknown=" + given.keySet());
    }
}
