output "resource_group_name" {
  description = "The resource group that holds the registry and the cluster."
  value       = azurerm_resource_group.this.name
}

output "acr_name" {
  description = "The registry's name, as `az acr` takes it."
  value       = azurerm_container_registry.this.name
}

output "acr_id" {
  description = "The registry's Azure resource ID."
  value       = azurerm_container_registry.this.id
}

output "acr_login_server" {
  description = "The registry's host name: <ACR_LOGIN_SERVER> in the manifests."
  value       = azurerm_container_registry.this.login_server
}

output "aks_name" {
  description = "The cluster's name, as `az aks` takes it."
  value       = azurerm_kubernetes_cluster.this.name
}

output "node_resource_group" {
  description = "The resource group that AKS made for the nodes."
  value       = azurerm_kubernetes_cluster.this.node_resource_group
}

output "node_pools" {
  description = "The names of all node pools, the system pool first."
  value = concat(
    [azurerm_kubernetes_cluster.this.default_node_pool[0].name],
    [for pool in azurerm_kubernetes_cluster_node_pool.this : pool.name],
  )
}

output "kubernetes_version" {
  description = "The Kubernetes version that the control plane runs, with its patch number."
  value       = azurerm_kubernetes_cluster.this.current_kubernetes_version
}

output "oidc_issuer_url" {
  description = "The issuer of the cluster's service account tokens, for workload identity."
  value       = azurerm_kubernetes_cluster.this.oidc_issuer_url
}

output "kubelet_client_id" {
  description = "The client ID of the identity that nodes pull with."
  value       = azurerm_user_assigned_identity.kubelet.client_id
}

output "kubelet_object_id" {
  description = "The object (principal) ID of the identity that nodes pull with."
  value       = azurerm_user_assigned_identity.kubelet.principal_id
}

output "get_credentials" {
  description = "The command that adds the cluster to your kubeconfig."
  value = join(" ", [
    "az aks get-credentials",
    "--resource-group ${azurerm_resource_group.this.name}",
    "--name ${azurerm_kubernetes_cluster.this.name}",
  ])
}
