using Llama3Cluster.Gateway.Draining;

namespace Llama3Cluster.Gateway.Tcp;

/// <summary>Registers the TCP endpoint.</summary>
public static class TcpEndpointServices
{
    /// <summary>
    /// Adds the endpoint as a hosted service. The host registers an <see cref="Actors.Inference.IInferenceService"/>.
    /// </summary>
    /// <exception cref="ArgumentException">A setting cannot be used; the message names it.</exception>
    public static IServiceCollection AddTcpEndpoint(this IServiceCollection services, TcpEndpointOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        services.AddSingleton(options);
        services.AddGatewayDrain(DrainOptions.Default);
        services.AddSingleton<TcpEndpoint>();
        services.AddHostedService(provider => provider.GetRequiredService<TcpEndpoint>());
        return services;
    }
}
